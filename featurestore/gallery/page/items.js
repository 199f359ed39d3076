// Ordered lists of items. A list knows how many there are, hands out those that have come, and fetches those that are wanted.
import { getItems } from "./api.js";

const CHUNK = 100;
const KEPT = 150; // chunks
const AT_ONCE = 3; // requests

/** The items that fulfil a condition, in an order. The server keeps the list, so that items keep their places. */
export class ItemList {
  constructor(order, { onChange, onError }) {
    this.order = order; // where, sort, order
    this.key = ""; // of the address that asked for it
    this.onChange = onChange;
    this.onError = onError;
    this.total = null;
    this.view = null;
    this.chunks = new Map(); // in the order of their last use
    this.running = new Map(); // number of a chunk -> AbortController
    this.wanted = []; // numbers of chunks, the most urgent first
    this.ranges = { seen: null, beside: null };
    this.closed = false;
  }

  async open(first = 0) {
    await this.load(Math.floor(first / CHUNK));
    return this;
  }

  close() {
    this.closed = true;
    for (const controller of this.running.values()) controller.abort();
  }

  get(place) {
    return this.chunks.get(Math.floor(place / CHUNK))?.[place % CHUNK];
  }

  /** Ask for the items from `first` to `last`; what was asked before in the same `role` and has not come is given up. */
  want(first, last, role = "seen") {
    this.ranges[role] = [first, last];
    if (this.view === null) return;
    const numbers = new Set();
    for (const range of [this.ranges.seen, this.ranges.beside]) {
      if (range === null) continue;
      for (let number = Math.floor(range[0] / CHUNK); number <= Math.floor(range[1] / CHUNK); number++) numbers.add(number);
    }
    this.wanted = [];
    for (const number of numbers) {
      const chunk = this.chunks.get(number);
      if (chunk === undefined) this.wanted.push(number);
      else {
        this.chunks.delete(number);
        this.chunks.set(number, chunk);
      }
    }
    for (const [number, controller] of this.running) if (!numbers.has(number)) controller.abort();
    this.next();
  }

  next() {
    for (const number of this.wanted) {
      if (this.running.size >= AT_ONCE) return;
      if (!this.chunks.has(number) && !this.running.has(number)) this.load(number);
    }
  }

  async load(number) {
    const controller = new AbortController();
    this.running.set(number, controller);
    try {
      const found = await this.fetch(number, controller.signal);
      if (this.closed) return;
      this.total = found.total;
      this.view = found.view;
      this.chunks.set(number, found.items);
      for (const oldest of this.chunks.keys()) {
        if (this.chunks.size <= KEPT) break;
        this.chunks.delete(oldest);
      }
      this.onChange();
    } catch (error) {
      if (this.closed || error.name === "AbortError") return;
      this.wanted = [];
      this.onError(error);
    } finally {
      this.running.delete(number);
      if (!this.closed) this.next();
    }
  }

  async fetch(number, signal) {
    const part = { offset: number * CHUNK, limit: CHUNK };
    if (this.view !== null) {
      try {
        return await getItems({ view: this.view, ...part }, signal);
      } catch (error) {
        if (error.status !== 404) throw error; // 404: the server no longer keeps the list, so it is made anew
      }
    }
    return getItems({ ...this.order, ...part }, signal);
  }
}

/** The hits of a search: all are there from the start. */
export class HitList {
  constructor(hits, key) {
    this.hits = hits;
    this.key = key;
    this.total = hits.length;
  }

  get(place) {
    return this.hits[place];
  }

  want() {}

  close() {}
}
