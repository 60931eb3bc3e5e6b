// Pictures of the pages, at desktop and phone width, light and dark.
//
//   node shots.mjs --mock --out DIR [--scene sale-open,ticket-queued] [--size desktop|phone|wall] [--theme light|dark]
//   node shots.mjs --out DIR --base http://127.0.0.1:8080 --admin http://127.0.0.1:9090 --buyer alice [--scene sale,buy,ticket,live]
//                  [--ticket ID] [--token JWT] [--url NAME=URL …] [--settle MS]
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch } from "./browser.mjs";

const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 360, height: 740 }, wall: { width: 1920, height: 1080 } };

const { values: options } = parseArgs({ options: {
  mock: { type: "boolean" }, out: { type: "string", default: "shots" }, base: { type: "string" }, admin: { type: "string" },
  buyer: { type: "string", default: "alice" }, token: { type: "string" }, ticket: { type: "string" }, scene: { type: "string" },
  url: { type: "string", multiple: true, default: [] }, size: { type: "string" }, theme: { type: "string" }, settle: { type: "string", default: "1500" },
} });

/** A scene is an address, and perhaps something to do there before the picture. */
function mockScenes(base, admin) {
  const sales = ["armed", "open", "few", "over", "jwt"].map((name) => [`sale-${name}`, `${base}/?sale=${name}`]);
  const answers = ["sold-out", "busy", "outcome-unknown", "not-open", "silence", "limit-exceeded"].map((name) => [`answer-${name}`, `${base}/?sale=open-${name}`, pressBuy]);
  const tickets = ["queued", "reserved", "ordered", "paid", "closed-cancelled", "closed-unpaid", "closed-backlog", "failed-lost", "nonsense"]
    .map((name) => [`ticket-${name}`, `${base}/ticket?sale=open#${name}`]);
  const asked = [["ticket-cancel", `${base}/ticket?sale=open#reserved`, (page) => page.click("#cancel")]];
  const lives = ["open", "armed", "drain", "alarm", "shards"].map((name) => [`live-${name}`, `${admin}/live?state=${name}`]);
  return [...sales, ...answers, ...tickets, ...asked, ...lives];
}

function realScenes({ base, admin, ticket, url }) {
  const scenes = url.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]);
  if (base) scenes.push(["sale", base + "/"], ["buy", base + "/", pressBuy]);
  if (base && ticket) scenes.push(["ticket", `${base}/ticket#${ticket}`]);
  if (admin) scenes.push(["live", admin + "/live"]);
  return scenes;
}

async function pressBuy(page) {
  await page.locator("#items button:enabled").first().click({ timeout: 5000 });
}

async function shoot(browser, [name, address, act], size, theme) {
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme: theme, deviceScaleFactor: 1 });
  await context.addInitScript(({ buyer, token }) => {
    localStorage.setItem("flashsale.buyer", buyer);
    if (token) localStorage.setItem("flashsale.token", token);
  }, { buyer: options.buyer, token: options.token });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
  });
  try {
    await page.goto(address, { waitUntil: "load" });
    await page.waitForTimeout(Number(options.settle));
    if (act) {
      await act(page);
      await page.waitForTimeout(Number(options.settle));
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) complaints.push(`wider than the window by ${wide} px`);
    const file = join(options.out, `${name}-${size}-${theme}.png`);
    await page.screenshot({ path: file, fullPage: true });
    console.log(file + complaints.map((text) => `\n  ! ${text}`).join(""));
  } finally {
    await context.close();
  }
  return complaints.length;
}

mkdirSync(options.out, { recursive: true });
const mock = options.mock ? await (await import("./mock.mjs")).start() : null;
let scenes = mock ? mockScenes(mock.base, mock.admin) : realScenes(options);
if (options.scene) scenes = scenes.filter(([name]) => options.scene.split(",").includes(name));
if (scenes.length === 0) throw new Error("nothing to shoot: give --mock, or --base and --admin, or --url NAME=URL, and scenes that exist");

const browser = await launch();
let complaints = 0;
try {
  for (const scene of scenes) {
    for (const size of options.size ? options.size.split(",") : ["desktop", "phone"]) {
      for (const theme of options.theme ? options.theme.split(",") : [size === "phone" ? "dark" : "light"]) complaints += await shoot(browser, scene, size, theme);
    }
  }
} finally {
  await browser.close();
  await mock?.stop();
}
process.exit(complaints ? 1 : 0);
