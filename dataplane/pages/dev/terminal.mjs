// A picture of a terminal: reads what `tmux capture-pane -e -p` writes, and draws it with Chromium.
//
//   tmux capture-pane -e -p -t PANE | node terminal.mjs OUT.png
import { readFileSync } from "node:fs";
import { launch } from "./browser.mjs";

const COLOURS = ["#1c2129", "#ff6b62", "#5fd68b", "#e8b84a", "#6d9bff", "#c792ea", "#56c8d8", "#d7dde6"];
const FONT_PX = 14.95, LINE_PX = 17;   // a cell of 9 × 17 pixels, no higher than a block glyph, so that bars touch

const [, , out] = process.argv;
if (!out) {
  console.error("terminal.mjs: name the picture, such as terminal.png");
  process.exit(2);
}

const escape = (text) => text.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);

/** Select Graphic Rendition: as much of it as our view uses. */
function style(state, codes) {
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 38 && codes[i + 1] === 5) state.fg = COLOURS[codes[i += 2] % 8];
    else if (code === 0) Object.assign(state, { fg: null, bold: false, dim: false });
    else if (code === 1) state.bold = true;
    else if (code === 2) state.dim = true;
    else if (code === 22) state.bold = state.dim = false;
    else if (code >= 30 && code <= 37) state.fg = COLOURS[code - 30];
    else if (code >= 90 && code <= 97) state.fg = COLOURS[code - 90];
    else if (code === 39) state.fg = null;
  }
}

function html(text) {
  const state = { fg: null, bold: false, dim: false };
  return text.split(/\x1b\[([\d;]*)m/).map((part, i) => {
    if (i % 2) return style(state, part.split(";").map(Number)) ?? "";
    const css = `color:${state.fg || "#d7dde6"};${state.bold ? "font-weight:700;" : ""}${state.dim ? "opacity:.6;" : ""}`;
    return part ? `<span style="${css}">${escape(part.replace(/\x1b[()][\dA-Z]|[\x0e\x0f]/g, ""))}</span>` : "";
  }).join("");
}

const text = readFileSync(0, "utf8").replace(/\s+$/, "");
const browser = await launch();
try {
  const page = await browser.newPage({ viewport: { width: 2200, height: 1200 } });
  await page.setContent(`<body style="margin:0;background:#12161c"><pre id="t" style="display:inline-block;margin:0;padding:14px 16px;
    background:#12161c;font:${FONT_PX}px/${LINE_PX}px 'DejaVu Sans Mono',monospace">${html(text)}</pre>`);
  await page.locator("#t").screenshot({ path: out });
} finally {
  await browser.close();
}
