"use strict";
// Shared by the buyer's pages: the server's clock, who the buyer is, calls with a time limit, and words for figures.
// Data reaches the page by textContent alone.

const CALL_TIMEOUT_MS = 10_000;
const CLOCK_REFRESH_MS = 60_000;
const LANG = document.documentElement.lang;

const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
/** Half to all of `ms`, so that many pages which failed together do not come back together. */
const jittered = (ms) => ms * (0.5 + Math.random() / 2);

function el(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Writes only what changed: screen readers and layout are left alone otherwise. */
function set(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

/** localStorage, or plain memory where the browser forbids it (then a reload forgets). */
const store = {
  memory: new Map(),
  get(name) {
    try { return localStorage.getItem(name); } catch { return this.memory.get(name) ?? null; }
  },
  set(name, value) {
    try { localStorage.setItem(name, value); } catch { this.memory.set(name, value); }
  },
  drop(name) {
    try { localStorage.removeItem(name); } catch { this.memory.delete(name); }
  },
  json(name) {
    try { return JSON.parse(this.get(name)); } catch { return null; }
  },
};

/** The server's clock in milliseconds. The buyer's own clock may be hours wrong; only its progress is used. */
const clock = {
  base: Date.now() - performance.now(), synced: false,
  now() { return this.base + performance.now(); },
  /** Takes the best of a few samples: the shortest round trip has the smallest error. */
  async sync(samples = 3) {
    let best = Infinity;
    for (let i = 0; i < samples; i++) {
      const sent = performance.now();
      const answer = await call("GET", "/v1/time");
      const trip = performance.now() - sent;
      if (answer.status === 200 && trip < best) {
        best = trip;
        this.base = answer.body.nowMs + trip / 2 - (sent + trip);
        this.synced = true;
      }
    }
  },
  /** Keeps in step: each minute, and when the page comes back from sleep. */
  keep() {
    setInterval(() => this.sync(1), CLOCK_REFRESH_MS);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.sync(2); });
  },
};

/** Who asks: a token of the shop, or in development a plain header. What is stored survives a reload. */
const buyer = {
  source: null, header: "X-Buyer-Id",
  /** Learns from the sale how buyers are told apart; remembers it for the waiting page. */
  learn(buyers) {
    this.source = buyers.source;
    this.header = buyers.header || this.header;
    store.set("flashsale.buyers", JSON.stringify({ source: this.source, header: this.header }));
    if (this.isDev() && !this.id()) this.rename("dev-" + randomHex(3));
  },
  recall() {
    const known = store.json("flashsale.buyers");
    if (known) Object.assign(this, { source: known.source, header: known.header });
  },
  isDev() { return this.source === "TrustedHeader"; },
  rename(id) { store.set("flashsale.buyer", id); },
  token() { return store.get("flashsale.token"); },
  /** The id, only to label what is stored here; the server never trusts it from a token's text. */
  id() {
    if (this.isDev()) return store.get("flashsale.buyer");
    try {
      const claims = this.token().split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
      return JSON.parse(atob(claims)).sub;
    } catch { return this.token() ? "token" : null; }
  },
  headers() {
    if (this.isDev()) return { [this.header]: this.id() };
    return this.token() ? { Authorization: "Bearer " + this.token() } : {};
  },
};

/** Where a purchase of one item is remembered, so that a reload asks for the same one. */
const purchaseName = (sale, item) => `flashsale.purchase.${sale}.${buyer.id()}.${item}`;

function randomHex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => b.toString(16).padStart(2, "0")).join("");
}

/**
 * One call that always answers: `{status, body, problem, retryAfterMs}`. `status` 0 means that no answer came
 * within the time limit, so nobody knows whether the server acted. `problem` is the last part of the problem's type.
 */
async function call(method, path, { body, headers } = {}) {
  // The time and the sale are the same for everybody: asked without a name, any cache may answer.
  const named = method !== "GET" || path.startsWith("/v1/tickets/");
  try {
    const response = await fetch(path, {
      method, cache: path.startsWith("/v1/sales/") && !named ? "default" : "no-store",
      headers: { ...(named ? buyer.headers() : {}), ...(body ? { "Content-Type": "application/json" } : {}), ...headers },
      body: body && JSON.stringify(body), signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    const text = await response.text();
    let parsed = null;
    try { parsed = JSON.parse(text); } catch { /* Not JSON: some proxy spoke. The status still counts. */ }
    if (response.ok && parsed === null && text) return { status: 0, body: null, problem: null, retryAfterMs: 0 };
    const seconds = Number(response.headers.get("Retry-After"));
    return {
      status: response.status, body: parsed,
      problem: response.ok ? null : String(parsed?.type ?? "").split("/").pop(),
      retryAfterMs: seconds > 0 ? seconds * 1000 : 0,
    };
  } catch {
    return { status: 0, body: null, problem: null, retryAfterMs: 0 };
  }
}

const count = (n) => Number(n).toLocaleString(LANG);
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

function money(amount, currency) {
  try {
    return new Intl.NumberFormat(LANG, { style: "currency", currency }).format(Number(amount));
  } catch { return `${amount} ${currency}`; }
}

/** `1:02:03` or `02:03`, never below zero. */
function clockText(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600);
  return (h ? h + ":" : "") + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
}

/** A length of time as people say it; it is an estimate, so it is never more exact than it can be. */
function aboutText(seconds) {
  if (seconds < 3) return "any moment now";
  if (seconds < 10) return "a few seconds";
  if (seconds < 55) return `about ${Math.max(10, Math.round(seconds / 10) * 10)} seconds`;
  if (seconds < 90) return "about a minute";
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `about ${minutes} minutes`;
  const rest = Math.round((minutes % 60) / 10) * 10;
  const hours = Math.floor(minutes / 60) + (rest === 60 ? 1 : 0);
  return `about ${plural(hours, "hour", "hours")}` + (rest % 60 ? ` ${rest} minutes` : "");
}

/** The sale has a name, no title: `phone-launch` reads as "Phone launch". */
const titleOf = (name) => (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll("-", " ");
