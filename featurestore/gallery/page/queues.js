// Queues of items to label. Items keep their places; more come at the end.
import { getItems, getPredictions, suggest } from "./api.js";
import { readSoon } from "./collection.js";
import { isUnsaved } from "./labelling.js";
import { current, namesOf } from "./shown_labels.js";

const BATCH = 20; // suggestions asked for at a time
const PAGE = 100;
const LOW = 5; // open ones left when more are asked for
const MOST = 1000; // items of an answer
const WITHOUT = "label IS NULL AND labels IS NULL";

const both = (...conditions) => conditions.filter(Boolean).map((one) => `(${one}\n)`).join(" AND ");

// Where items come from: functions that give the next ones, and none at the end.

/** What the server finds most useful to label, without what already waits here. */
function suggestions(where) {
  return async (queue) => {
    const waiting = queue.items.filter((item) => queue.isLeft(item) || isUnsaved(item)).map(({ id }) => id);
    const others = waiting.length ? `id NOT IN (${waiting.join(", ")})` : "";
    const found = await suggest({ count: BATCH, by: "auto", where: both(where, others) || null });
    queue.note = found.note;
    readSoon(); // the store has noted which were drawn at random
    return found.items;
  };
}

/** All without a label, in the order of their ids. */
function unlabelled(where) {
  let after = null; // what the last answer gave to go on
  let last = null; // id
  let ended = false;
  return async () => {
    if (ended) return [];
    const anew = () => getItems({ where: both(WITHOUT, where, last === null ? "" : `id > ${last}`), limit: PAGE });
    const goneList = (error) => (error.status === 404 ? anew() : Promise.reject(error)); // the server no longer keeps the list
    const found = await (after === null ? anew() : getItems({ after, limit: PAGE }).catch(goneList));
    after = found.next;
    ended = after === null;
    last = found.items.at(-1)?.id ?? last;
    return found.items;
  };
}

/** Those that the classifier takes for one class, the most doubtful first. */
function predictions(label) {
  return async (queue) => {
    const limit = Math.min(PAGE + queue.skipped.size, MOST);
    return (await getPredictions({ label, limit, order: "doubtful" })).items;
  };
}

export const SOURCES = { suggestions, unlabelled, predictions };

export class Queue {
  constructor(more, onChange) {
    this.source = more;
    this.onChange = onChange;
    this.items = [];
    this.ids = new Set();
    this.at = 0;
    this.skipped = new Set(); // ids of those left for now
    this.note = null; // what the server says of the last answer
    this.loading = false;
    this.ended = false;
    this.error = null;
    this.closed = false;
  }

  /** The item that is to be labelled; undefined behind the last one. */
  get now() {
    return current(this.items[this.at]);
  }

  /** Whether an item has no label; those that are skipped are left, too. */
  isLeft(item) {
    const now = current(item);
    return !now.gone && namesOf(now).length === 0;
  }

  isOpen(item) {
    return this.isLeft(item) && !this.skipped.has(item.id);
  }

  async more() {
    if (this.loading || this.ended) return;
    this.loading = true;
    this.error = null;
    this.onChange();
    try {
      const found = await this.source(this);
      const fresh = found.filter((item) => !item.gone && !this.ids.has(item.id));
      for (const item of fresh) this.ids.add(item.id);
      this.items.push(...fresh);
      this.ended = found.length === 0 || fresh.length === 0;
    } catch (error) {
      this.error = error;
      this.ended = true;
    }
    this.loading = false;
    if (!this.closed) this.onChange();
  }

  /** Ask again, after an end. */
  again() {
    this.ended = false;
    return this.more();
  }

  go(place) {
    this.at = Math.min(Math.max(0, place), this.items.length);
    let open = 0;
    for (let next = this.at; next < this.items.length && open <= LOW; next++) if (this.isOpen(this.items[next])) open++;
    if (open <= LOW) this.more();
    this.onChange();
  }

  /** To the next item that has no label and was not skipped. */
  next() {
    let place = this.at + 1;
    while (place < this.items.length && !this.isOpen(this.items[place])) place++;
    this.go(place);
  }

  skip() {
    if (this.now) this.skipped.add(this.now.id);
    this.next();
  }

  /** Back to those that were skipped. */
  unskip() {
    this.skipped.clear();
    const first = this.items.findIndex((item) => this.isOpen(item));
    if (first >= 0) this.go(first);
  }

  get waiting() {
    return this.items.filter((item) => this.skipped.has(item.id) && this.isLeft(item)).length;
  }

  /** Show an item now: where it is, or here when the queue does not have it. */
  bring(item) {
    this.skipped.delete(item.id);
    const place = this.items.findIndex(({ id }) => id === item.id);
    if (place < 0) {
      this.items.splice(this.at, 0, item);
      this.ids.add(item.id);
    }
    this.go(place < 0 ? this.at : place);
  }

  /** Let an item come again as the next one, without moving the one that is shown. */
  comeAgain(item) {
    const place = this.items.findIndex(({ id }) => id === item.id);
    if (place >= 0 && place === this.at) return this.onChange();
    if (place >= 0) this.items.splice(place, 1);
    this.ids.add(item.id);
    if (place >= 0 && place < this.at) this.at--;
    this.items.splice(this.at < this.items.length ? this.at + 1 : this.at, 0, item);
    return this.onChange();
  }
}
