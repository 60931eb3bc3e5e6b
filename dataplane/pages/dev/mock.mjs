// A server with scripted states, for work on the pages. It follows docs/api.md but sells nothing and tests nothing.
//
// The sale's name picks the state:   /?sale=armed | soon | open | few | over | jwt | open-<problem> (open-busy, open-sold-out …)
// The ticket's name picks the state: /ticket?#queued | reserved | ordered | paid | closed-unpaid | failed-lost … ; a bought ticket walks through all
// The live page by its query:        /live?state=open | armed | drain | alarm | shards
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { compose } from "./compose.mjs";

const PAY_MS = 900_000;
const started = Date.now();

// ---- the sale

function sale(name) {
  const now = Date.now();
  const openTimeMs = name === "armed" ? now + 93_784_000 : name === "soon" ? started + 8_000 : now - 42_000;
  const closeTimeMs = name === "over" ? now - 1_000 : openTimeMs + 3_600_000;
  const none = name.startsWith("few");
  return {
    name, namespace: "shop", phase: name === "over" ? "Draining" : now < openTimeMs ? "Armed" : "Open",
    openTime: new Date(openTimeMs).toISOString(), closeTime: new Date(closeTimeMs).toISOString(), openTimeMs, closeTimeMs, nowMs: now,
    currency: "EUR", paymentTimeoutSeconds: 900,
    buyers: name === "jwt" ? { source: "JWT", header: null } : { source: "TrustedHeader", header: "X-Buyer-Id" },
    items: [
      { id: "phone-15-black", title: "Phone 15, black", price: "699.00", limitPerBuyer: 1, availability: none ? "Few" : "Plenty" },
      { id: "phone-15-white", title: "Phone 15, white <b>&amp;</b>", price: "699.00", limitPerBuyer: 1, availability: none ? "None" : "Plenty" },
      { id: "case", title: "Case, clear, for Phone 15", price: "19.90", limitPerBuyer: 3, availability: "Few" },
    ],
  };
}

const PROBLEMS = {
  "sold-out": [410], "sale-closed": [410], "limit-exceeded": [422], "not-entitled": [403], "unauthenticated": [401], "key-conflict": [409],
  "invalid-request": [400, { detail: "quantity must be 1 to 3, was 0" }], "not-open": [425, { waitMs: 3000 }, 3],
  "too-many-requests": [429, {}, 2], "busy": [503, {}, 1], "outcome-unknown": [503, {}, 1],
};

// ---- tickets: one per idempotency key

const tickets = new Map();   // id -> {madeAt, item, quantity, fixed, cancelled, paid}
const byKey = new Map();
const tries = new Map();
export const seen = { purchases: [] };   // what the flows look at

const FIXED = ["queued", "reserved", "ordered", "paid", "closed-cancelled", "closed-unpaid", "closed-backlog", "failed-lost", "failed-refused"];

function ticket(id, saleName) {
  const made = tickets.get(id) || (FIXED.includes(id) ? { madeAt: started, item: "phone-15-black", quantity: 1, fixed: id } : null);
  if (!made) return null;
  tickets.set(id, made);
  const age = (Date.now() - made.madeAt) / 1000;
  const walked = age < 6 ? "queued" : age < 12 ? "reserved" : "ordered";
  const [state, reason] = made.cancelled ? ["closed", "cancelled"] : made.paid ? ["paid"] : (made.fixed || walked).split("-");
  const waiting = ["queued", "reserved"].includes(state);
  const position = Math.max(1, Math.round((made.fixed ? 1240 : 124) * (1 - age / (made.fixed ? 300 : 13))));
  return {
    ticket: id, sale: saleName, item: made.item, quantity: made.quantity, state, reason: reason ?? null,
    position: waiting ? position : null, ahead: waiting ? position - 1 : null,
    waitSeconds: waiting ? Math.max(0, (made.fixed ? 143 : 12) - age) + Math.random() : null,
    orderId: ["ordered", "paid"].includes(state) || reason === "unpaid" ? "ord-7f3a91" : null, amount: "699.00", currency: "EUR",
    payByMs: state === "ordered" ? made.madeAt + PAY_MS : null,
    links: { self: `/v1/tickets/${id}`, events: `/v1/tickets/${id}/events`, page: `/ticket#${id}` },
  };
}

// ---- the buyer's port

function problem(response, name, more = {}) {
  const [status, extra, retryAfter] = PROBLEMS[name] || [404];
  const headers = { "Content-Type": "application/problem+json", ...(retryAfter ? { "Retry-After": retryAfter } : {}) };
  response.writeHead(status, headers);
  response.end(JSON.stringify({ type: "https://flashsale.dev/problems/" + name, title: name, status, detail: "", ...extra, ...more }));
}

function json(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}

function page(response, name, saleName) {
  const { html, policy } = compose(name, saleName);
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy });
  response.end(html);
}

async function read(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text ? JSON.parse(text) : {};
}

async function purchase(request, response, saleName) {
  const body = await read(request);
  const key = request.headers["idempotency-key"];
  seen.purchases.push({ key, buyer: request.headers["x-buyer-id"], ...body });
  const id = byKey.get(key);
  if (id) return json(response, 200, ticket(id, saleName));
  const scripted = saleName.startsWith("open-") && saleName.slice(5).replace(/-then-ok$/, "");
  const tried = (tries.get(key) || 0) + 1;
  tries.set(key, tried);
  if (scripted === "silence" && tried < 3) return request.socket.destroy();
  if (scripted in PROBLEMS && !(saleName.endsWith("-then-ok") && tried > 2)) return problem(response, scripted);
  const made = "t-" + key.slice(0, 8);
  byKey.set(key, made);
  tickets.set(made, { madeAt: Date.now(), item: body.item, quantity: body.quantity });
  json(response, 202, ticket(made, saleName));
}

function events(request, response, id, saleName) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  const send = () => {
    const now = ticket(id, saleName);
    response.write(`event: ticket\ndata: ${JSON.stringify(now)}\n\n`);
    if (["paid", "closed", "failed"].includes(now.state)) { clearInterval(timer); response.end(); }
  };
  const timer = setInterval(send, 1000);
  request.on("close", () => clearInterval(timer));
  send();
}

let lastSale = "open";
async function buyers(request, response) {
  const url = new URL(request.url, "http://mock");
  const path = url.pathname.split("/").slice(1).map(decodeURIComponent);
  if (url.pathname === "/") { lastSale = url.searchParams.get("sale") || "open"; return page(response, "sale.html", lastSale); }
  if (url.pathname === "/ticket") return page(response, "ticket.html", url.searchParams.get("sale") || lastSale);
  if (url.pathname === "/v1/time") return json(response, 200, { nowMs: Date.now() });
  if (path[1] === "sales" && path.length === 3) return json(response, 200, sale(path[2]));
  if (path[1] === "sales" && path[3] === "purchases") return purchase(request, response, path[2]);
  if (path[0] === "dev" && path[1] === "pay" && tickets.has(path[2])) { tickets.get(path[2]).paid = true; return json(response, 200, ticket(path[2], lastSale)); }
  if (path[1] === "tickets") {
    if (!request.headers["x-buyer-id"] && !request.headers.authorization) return problem(response, "unauthenticated");
    if (!ticket(path[2], lastSale)) return problem(response, "unknown-ticket");
    if (path[3] === "events") return events(request, response, path[2], lastSale);
    if (request.method === "DELETE") tickets.get(path[2]).cancelled = true;
    return json(response, 200, ticket(path[2], lastSale));
  }
  problem(response, "not-found");
}

// ---- the admin port

function live(state, ageS) {
  const now = Date.now(), rush = Math.exp(-((ageS - 30) ** 2) / 400) + .15 * Math.random();
  const sold = Math.min(9000, Math.round(ageS * 60)), locked = 640, inTransfer = state === "drain" ? 0 : 120;
  const item = (id, title, stock, part) => {
    const row = { id, title, stock, inTransfer: Math.round(inTransfer * part), locked: Math.round(locked * part), sold: Math.round(sold * part), waiting: Math.round(210 * part) };
    return { ...row, sellable: stock - row.inTransfer - row.locked - row.sold - (state === "alarm" && part < 1 ? 1 : 0) };
  };
  const armed = state === "armed", openTimeMs = armed ? now + 61_000 : now - ageS * 1000;
  const n = (x) => armed ? 0 : Math.round(x);
  const shards = Array.from({ length: state === "shards" ? 16 : 4 }, (_, id) => ({
    id, epoch: id === 2 ? 3 : 1, state: id === 2 && state !== "armed" ? "Recovering" : armed ? "Armed" : "Open",
    next: n(15_000 + id * 37 + ageS * 9), promised: n(14_990 + id * 37 + ageS * 9), applied: n(14_700 + id * 35 + ageS * 9), free: n(300 - id * 21) }));
  return {
    sale: "phone-launch", namespace: "shop", phase: { armed: "Armed", drain: "Draining" }[state] || "Open",
    nowMs: now, openTimeMs, closeTimeMs: openTimeMs + (state === "drain" ? 90_000 : 3_600_000),
    items: armed ? [{ id: "a", title: "Phone 15, black", stock: 10_000, sellable: 10_000, inTransfer: 0, locked: 0, sold: 0, waiting: 0 }]
      : [item("a", "Phone 15, black", 10_000, 1), item("b", "Phone 15, white", 5_000, .5)],
    funnel: { requests: n(1_834_211 + ageS * 30_000), attempts: n(640_210 + ageS * 8_000), won: n(sold * 1.5 + 960), soldOut: n(580_000), duplicate: n(42_331), limited: n(311), notOpen: n(6_120),
      busy: n(902), failed: 0, reserved: n(sold * 1.5 + 940), ordered: n(sold * 1.5 + 600), paid: n(sold * 1.5), closed: n(212), refundDue: n(3) },
    rates: { requestsPerSecond: n(90_000 * rush), wonPerSecond: n(1400 * rush), ordersPerSecond: n(200 + 40 * Math.random()) },
    queue: { waiting: n(310), oldestSeconds: armed ? 0 : 2.4 + rush, ratePerMinute: n(13_200) }, shards,
    latencyMs: { p50: armed ? 0 : 0.84, p99: armed ? 0 : 4.2 + rush, p999: armed ? 0 : 11.7 + rush },
  };
}

function admin(request, response) {
  const url = new URL(request.url, "http://mock");
  if (url.pathname === "/live") return page(response, "live.html", "phone-launch");
  if (url.pathname !== "/live/events") return problem(response, "not-found");
  const state = new URL(request.headers.referer || "http://mock").searchParams.get("state") || "open";
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  let ageS = 0;
  const send = () => { ageS += .25; response.write(`event: live\ndata: ${JSON.stringify(live(state, ageS))}\n\n`); };
  // The past comes at once, so that the sparklines have something to show.
  for (let i = 0; i < 320; i++) {
    ageS += .25;
    const past = live(state, ageS);
    past.nowMs -= (320 - i) * 250;
    response.write(`event: live\ndata: ${JSON.stringify(past)}\n\n`);
  }
  const timer = setInterval(send, 250);
  request.on("close", () => clearInterval(timer));
}

/** Starts both ports on loopback (0: any free one). Returns their addresses and `stop`, which cuts every connection. */
export async function start(port = 0, adminPort = 0) {
  const servers = [createServer(buyers), createServer(admin)];
  await Promise.all(servers.map((server, i) => new Promise((done) => server.listen([port, adminPort][i], "127.0.0.1", done))));
  const [base, adminBase] = servers.map((server) => `http://127.0.0.1:${server.address().port}`);
  const stop = () => Promise.all(servers.map((server) => new Promise((done) => { server.close(done); server.closeAllConnections(); })));
  return { base, admin: adminBase, stop };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { base, admin: adminBase } = await start(8180, 9190);
  console.log(`sale    ${base}/?sale=open   (armed, soon, few, over, jwt, open-busy, open-busy-then-ok, open-sold-out, …)`);
  console.log(`ticket  ${base}/ticket#queued   (${FIXED.join(", ")})`);
  console.log(`live    ${adminBase}/live?state=open   (armed, drain, alarm, shards)`);
}
