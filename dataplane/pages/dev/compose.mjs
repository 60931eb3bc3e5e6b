// Puts a page together as the server does at start-up, and computes its Content-Security-Policy.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const read = (name) => readFileSync(new URL("../" + name, import.meta.url), "utf8");

export const PAGES = ["sale.html", "ticket.html", "live.html"];

export function compose(name, sale) {
  const saleJson = JSON.stringify(sale).replaceAll("<", "\\u003c");
  const html = read(name)
    .replace("/*{{style.css}}*/", () => read("style.css"))
    .replace("/*{{common.js}}*/", () => read("common.js"))
    .replaceAll("__SALE__", () => saleJson);
  const policy = [
    "default-src 'none'", `script-src '${hash(html, "script")}'`, `style-src '${hash(html, "style")}'`,
    "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
  ].join("; ");
  return { html, policy };
}

function hash(html, tag) {
  const start = html.indexOf(`<${tag}>`) + tag.length + 2;
  const text = html.slice(start, html.indexOf(`</${tag}>`, start));
  return "sha256-" + createHash("sha256").update(text, "utf8").digest("base64");
}
