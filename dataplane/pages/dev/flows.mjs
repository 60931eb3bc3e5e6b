// Walks through the pages against the mock, where scripted trouble makes them show what they do about it.
// Each step's name is a claim; the first claim that does not hold ends the run with exit 1.
import assert from "node:assert/strict";
import { launch } from "./browser.mjs";
import { seen, start } from "./mock.mjs";

const WAIT_MS = 20_000;
let mock = await start();
const port = Number(new URL(mock.base).port);
const browser = await launch();

const buyButton = (page) => page.locator("#items button").first();
const keys = () => [...new Set(seen.purchases.map(({ key }) => key))];
const stored = (page) => page.evaluate(() => Object.keys(localStorage).filter((name) => name.startsWith("flashsale.purchase.")));
const shows = (page, text) => page.getByText(text).first().waitFor({ timeout: WAIT_MS });

async function claim(name, steps) {
  seen.purchases.length = 0;
  const context = await browser.newContext({ viewport: { width: 1024, height: 800 } });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  page.on("console", (message) => { if (/Content.Security/i.test(message.text())) errors.push(message.text()); });
  page.setDefaultTimeout(WAIT_MS);
  try {
    await steps(page, context);
    assert.deepEqual(errors, []);
    console.log("ok    " + name);
  } catch (error) {
    console.error("FAIL  " + name + "\n" + error.stack);
    process.exitCode = 1;
  } finally {
    await context.close();
  }
}

await claim("Buy opens by the server's clock though the buyer's own is an hour slow", async (page) => {
  await page.clock.install({ time: Date.now() - 3_600_000 });
  await page.goto(mock.base + "/?sale=soon");
  await shows(page, "Not open yet");
  assert.equal(await buyButton(page).isDisabled(), true);
  await page.clock.resume();
  await page.locator("#items button:enabled").first().waitFor();
  await buyButton(page).click();
  await page.waitForURL("**/ticket#t-*");
  assert.equal(seen.purchases.length, 1);
});

await claim("a busy server is asked again with the same key until it answers", async (page) => {
  await page.goto(mock.base + "/?sale=open-busy-then-ok");
  await buyButton(page).click();
  await shows(page, "Nothing is lost");
  await page.waitForURL("**/ticket#t-*");
  assert.equal(seen.purchases.length, 3);
  assert.equal(keys().length, 1);
});

await claim("a cut connection is asked again with the same key", async (page) => {
  await page.goto(mock.base + "/?sale=open-silence");
  await buyButton(page).click();
  await page.waitForURL("**/ticket#t-*");
  assert.equal(keys().length, 1);
});

await claim("a reload in the middle takes the same purchase up again", async (page) => {
  await page.goto(mock.base + "/?sale=open-outcome-unknown");
  await buyButton(page).click();
  await shows(page, "We cannot tell yet");
  const before = seen.purchases.length;
  await page.reload();
  await shows(page, "We cannot tell yet");
  assert.ok(seen.purchases.length > before);
  assert.equal(keys().length, 1);
});

await claim("what was stopped is not taken up by a reload, and Buy asks for the same purchase", async (page) => {
  await page.goto(mock.base + "/?sale=open-outcome-unknown");
  await buyButton(page).click();
  await page.getByRole("button", { name: "Stop asking" }).click();
  await shows(page, "Stopped");
  const before = seen.purchases.length;
  await page.reload();
  await page.locator("#items button:enabled").first().waitFor();
  assert.equal(seen.purchases.length, before);
  await buyButton(page).click();
  await shows(page, "We cannot tell yet");
  assert.equal(keys().length, 1);
});

await claim("sold out is said plainly, asked once, and leaves nothing behind", async (page) => {
  await page.goto(mock.base + "/?sale=open-sold-out");
  await buyButton(page).click();
  await shows(page, "nothing is owed");
  assert.equal(seen.purchases.length, 1);
  assert.deepEqual(await stored(page), []);
});

await claim("the waiting page keeps its place over a reload and a restart, never counts up, and ends paid", async (page) => {
  await page.goto(mock.base + "/?sale=open");
  await buyButton(page).click();
  await page.waitForURL("**/ticket#t-*");
  await page.locator("#position").waitFor();
  const places = [];
  const look = async () => places.push(Number((await page.locator("#position").textContent()).replaceAll(",", "")));
  await look();
  await page.reload();
  await page.locator("#position").waitFor();
  await look();
  await mock.stop();
  await shows(page, "Your place is kept; reconnecting");
  mock = await start(port);
  await shows(page, "Connected again");
  await look();
  assert.deepEqual(places, [...places].sort((a, b) => b - a));
  await page.getByRole("button", { name: /^Pay/ }).click();
  await shows(page, "Paid. It is yours.");
  assert.deepEqual(await stored(page), []);
});

await claim("cancelling asks first, by keyboard too, and the next purchase has a new key", async (page) => {
  await page.goto(mock.base + "/?sale=open");
  await buyButton(page).click();
  await page.waitForURL("**/ticket#t-*");
  await page.locator("#cancel").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#sure").isVisible(), false);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Yes, cancel" }).click();
  await shows(page, "You gave this purchase up");
  await page.getByRole("link", { name: "Try again" }).click();
  await buyButton(page).click();
  await page.waitForURL("**/ticket#t-*");
  assert.equal(keys().length, 2);
});

await claim("a ticket at hand is offered instead of a second purchase", async (page) => {
  await page.goto(mock.base + "/?sale=open");
  await buyButton(page).click();
  await page.waitForURL("**/ticket#t-*");
  const ticket = page.url();
  await page.goto(mock.base + "/?sale=open");
  await page.getByRole("button", { name: "See your ticket" }).click();
  await page.waitForURL(ticket);
  assert.equal(seen.purchases.length, 1);
});

await claim("the wall screen says when its figures are old, and recovers", async (page) => {
  const admin = Number(new URL(mock.admin).port);
  await page.goto(mock.admin + "/live");
  await shows(page, "adds up to 10,000");
  await mock.stop();
  await shows(page, "Figures are old");
  mock = await start(port, admin);
  await page.getByText("live", { exact: true }).waitFor();
});

await browser.close();
await mock.stop();
