// A buyer's walk through a real `flashsale up --trust-header` of walk.yaml, from before the opening to the end.
// Each step's name is a claim; any that does not hold ends the walk with exit 1.
//
//   node walk.mjs --base http://127.0.0.1:8080 --admin http://127.0.0.1:9090 [--restart COMMAND] [--out DIR]
//
// --restart is a shell command that kills the server and starts it again on the same data and addresses; without it
// that step is left out. --out keeps a picture of each step. run-walk.sh does everything around this.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch } from "./browser.mjs";

const { values: options } = parseArgs({ options: {
  base: { type: "string" }, admin: { type: "string" }, restart: { type: "string" }, out: { type: "string" },
} });
if (!options.base || !options.admin) {
  console.error("walk.mjs: give --base and --admin, the addresses that flashsale up says at start");
  process.exit(2);
}
if (options.out) mkdirSync(options.out, { recursive: true });

const WAIT_MS = 30_000;      // an opening, a line and a deadline are all shorter
const WALK_MS = 180_000;
const AHEAD = 20;            // buyers before the walker; at two orders a second, ten seconds of waiting
const SALE = "sneaker-drop";

const browser = await launch();
let shots = 0;

/** A buyer's own browser. What the pages must never do is noted in `wrong`. */
async function visitor(buyer, viewport = { width: 1280, height: 900 }) {
  const context = await browser.newContext({ viewport });
  const page = await context.newPage();
  const wrong = [];
  page.setDefaultTimeout(WAIT_MS);
  page.on("pageerror", (error) => wrong.push(`${buyer}: ${error}`));
  page.on("console", (message) => {
    // Chromium itself writes down each answer that is no 2xx and each lost connection; the claims judge those.
    const network = /^Failed to load resource: (the server responded with a status of|net::ERR_)/.test(message.text());
    if (message.type() === "error" && !network) wrong.push(`${buyer}: ${message.text()}`);
  });
  await page.exposeFunction("noteViolation", (text) => wrong.push(`${buyer}: policy: ${text}`));
  await page.addInitScript(() => document.addEventListener("securitypolicyviolation",
    (event) => window.noteViolation(`${event.violatedDirective} ${event.blockedURI}`)));
  return { buyer, context, page, wrong };
}

const shows = (page, text) => page.getByText(text).first().waitFor();
const card = (page, title) => page.locator("#items > li", { hasText: title });
const button = (page, title) => card(page, title).getByRole("button").first();
const onTicket = (page) => page.waitForURL(/\/ticket#.+/);

async function signIn({ page, buyer }) {
  await page.goto(options.base + "/");
  const who = page.getByLabel("Development: signed in as");
  await who.waitFor();
  if (await who.inputValue() === buyer) return;
  await who.fill(buyer);
  await who.blur();
  await shows(page, "Saved");
}

async function buy(visit, title) {
  await signIn(visit);
  await card(visit.page, title).locator("button:enabled").first().click();
}

async function api(method, path, buyer, body) {
  const response = await fetch(options.base + path, {
    method, headers: { "X-Buyer-Id": buyer, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body && JSON.stringify(body), signal: AbortSignal.timeout(WAIT_MS),
  });
  return { status: response.status, body: await response.json() };
}

const live = async () => (await fetch(options.admin + "/live.json", { signal: AbortSignal.timeout(WAIT_MS) })).json();

async function shot(page, name) {
  if (!options.out) return;
  await page.screenshot({ path: join(options.out, `${String(++shots).padStart(2, "0")}-${name}.png`), fullPage: true });
}

/** Runs the steps of one visit; pages are never wider than their window. */
async function claim(name, visits, steps) {
  try {
    await steps();
    for (const { page, buyer, wrong } of visits) {
      assert.deepEqual(wrong, []);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wider <= 0, `${buyer}: the page is wider than its window by ${wider} px`);
    }
    console.log("ok    " + name);
  } catch (error) {
    for (const { page, buyer } of visits) await shot(page, `failed-${buyer}`).catch(() => {});
    throw new Error(name, { cause: error });
  }
}

async function restart() {
  const child = spawn("sh", ["-c", options.restart], { stdio: "inherit" });
  const code = await new Promise((done) => child.on("exit", done));
  assert.equal(code, 0, "the restart command failed");
}

async function walk() {
  const wall = await visitor("wall", { width: 1920, height: 1080 });
  const alice = await visitor("alice");
  const bob = await visitor("bob", { width: 360, height: 740 });
  const carol = await visitor("carol");

  await claim("before the opening the page counts down and sells nothing", [alice], async () => {
    await signIn(alice);
    await shows(alice.page, "Opens soon");
    assert.match(await alice.page.locator("#title").textContent(), /^Sneaker drop$/);
    assert.equal(await alice.page.locator("#items > li").count(), 3);
    assert.match(await button(alice.page, "Runner, red").textContent(), /Not open yet/);
    assert.equal(await button(alice.page, "Runner, red").isDisabled(), true);
    const seconds = alice.page.locator("#countdown b").last();
    const first = await seconds.textContent();
    await alice.page.waitForFunction((was) => document.querySelector("#countdown div:last-child b").textContent !== was, first);
    await shot(alice.page, "sale-before");
  });

  await claim("the live page is armed, and its stock adds up", [wall], async () => {
    await wall.page.goto(options.admin + "/live");
    await shows(wall.page, "Armed");
    await shows(wall.page, "opens in");
    await shows(wall.page, "adds up to 60");
    await shot(wall.page, "live-before");
  });

  await claim("at the opening Buy comes alive without a reload", [alice, wall], async () => {
    await card(alice.page, "Runner, red").locator("button:enabled").first().waitFor();
    assert.equal(await button(alice.page, "Runner, red").textContent(), "Buy");
    await shows(alice.page, "Open now");
    await shows(wall.page, "open for");
    await shot(alice.page, "sale-open");
  });

  await claim("the last unit goes to one buyer, and the next reads that it is sold out and owes nothing", [bob], async () => {
    const first = await api("POST", `/v1/sales/${SALE}/purchases`, "early-bird", { item: "collab-gold", quantity: 1 });
    assert.ok([200, 202].includes(first.status), JSON.stringify(first));
    await buy(bob, "Collab, gold");
    await shows(bob.page, "Nothing was taken and nothing is owed");
    await shows(bob.page, "Sold out");
    await shot(bob.page, "sold-out-phone");
  });

  for (let i = 0; i < AHEAD; i++) {
    const ahead = await api("POST", `/v1/sales/${SALE}/purchases`, `ahead-${i}`, { item: "runner-red", quantity: 1 });
    assert.ok([200, 202].includes(ahead.status), JSON.stringify(ahead));
  }

  await claim("Buy leads to the waiting page with a place in line, which a reload keeps", [alice], async () => {
    await card(alice.page, "Runner, red").locator("button:enabled").first().click();
    await onTicket(alice.page);
    await shows(alice.page, "Your place in line");
    const place = async () => Number((await alice.page.locator("#position").textContent()).replaceAll(",", ""));
    const before = await place();
    assert.ok(before >= 2 && before <= AHEAD + 3, `place ${before} with ${AHEAD} ahead`);
    await shot(alice.page, "waiting");
    await alice.page.reload();
    await alice.page.locator("#position").waitFor();
    assert.ok(await place() <= before, "the place went up over a reload");
  });

  await claim("the sale page shows the ticket at hand instead of a second Buy", [alice], async () => {
    const ticket = alice.page.url();
    await alice.page.getByRole("link", { name: "Back to the sale" }).click();
    await alice.page.getByRole("button", { name: "See your ticket" }).click();
    await alice.page.waitForURL(ticket);
    // Before the page has asked it can't say that a place is kept.
    await alice.page.locator("#position").waitFor();
  });

  if (options.restart) {
    await claim("when the server is killed the page says so, reconnects by itself and keeps the place", [alice, wall], async () => {
      const ticket = alice.page.url();
      const restarted = restart();
      await shows(alice.page, "Your place is kept; reconnecting");
      await shot(alice.page, "server-gone");
      await restarted;
      await shows(alice.page, "Connected again");
      assert.equal(alice.page.url(), ticket);
      await wall.page.getByText("live", { exact: true }).waitFor();
    });
  }

  await claim("the order comes, and paying it ends well", [alice], async () => {
    await alice.page.getByRole("button", { name: "Pay €129.00" }).waitFor();
    await shows(alice.page, "Your order is ready");
    await shot(alice.page, "ordered");
    await alice.page.getByRole("button", { name: "Pay €129.00" }).click();
    await shows(alice.page, "Paid. It is yours.");
    assert.equal(await alice.page.locator("#cancel").isVisible(), false);
    await shot(alice.page, "paid");
  });

  await claim("two units in one purchase can be given back, after being asked", [bob], async () => {
    await signIn(bob);
    await card(bob.page, "Court '84").getByLabel("Quantity").selectOption("2");
    await card(bob.page, "Court '84").locator("button:enabled").first().click();
    await onTicket(bob.page);
    await shows(bob.page, "2 × Court '84");
    await bob.page.getByRole("button", { name: "Cancel" }).click();
    await shot(bob.page, "cancel-asks-phone");
    await bob.page.getByRole("button", { name: "Yes, cancel" }).click();
    await shows(bob.page, "You gave this purchase up");
    await shot(bob.page, "cancelled-phone");
  });

  await claim("who does not pay in time is told so, and may try again", [carol], async () => {
    await buy(carol, "Runner, red");
    await onTicket(carol.page);
    await shows(carol.page, "The time to pay ran out");
    await carol.page.getByRole("link", { name: "Try again" }).waitFor();
    await shot(carol.page, "unpaid");
  });

  await claim("the live page shows what was paid, and its stock still adds up", [wall], async () => {
    const figures = await live();
    assert.equal(figures.phase, "Open");
    assert.ok(figures.items.reduce((sum, item) => sum + item.sold, 0) >= 1);
    for (const { id, stock, sellable, inTransfer, locked, sold } of figures.items) {
      assert.equal(sellable + inTransfer + locked + sold, stock, `${id} does not add up`);
    }
    await shows(wall.page, "adds up to 60");
    assert.equal(await wall.page.locator("#alarm").isVisible(), false);
    await shot(wall.page, "live-during");
  });
}

const deadline = setTimeout(() => {
  console.error(`FAIL  the walk took longer than ${WALK_MS / 1000} s`);
  process.exit(1);
}, WALK_MS);
try {
  await walk();
} catch (error) {
  console.error(`FAIL  ${error.message}\n${error.cause?.stack ?? error.stack}`);
  process.exitCode = 1;
} finally {
  clearTimeout(deadline);
  await browser.close();
}
