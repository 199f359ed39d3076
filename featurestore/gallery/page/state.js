// What is shown is in the address: this file reads it, writes it, and tells who listens.
import { shared } from "./shared.js";

export const MOST_HITS = 1000;
const DEFAULTS = { view: "browse", where: "", sort: "id", order: "asc", k: 100, above: null, unique: null, queue: "suggestions", of: "", item: null, at: null };

export const noChip = () => ({ is: [], empty: false, from: "", to: "" });
const positive = (text) => (/^\d{1,15}$/.test(text) ? Number(text) : null);
const fraction = (text) => (text !== null && text.trim() !== "" && Math.abs(Number(text)) <= 1 ? Number(text) : null);

/** Chips are parameters such as is.label=rose, none.label=, from.width=100, to.width=200. */
function readChips(parameters) {
  const chips = {};
  for (const [key, value] of parameters) {
    const [, kind, column] = /^(is|none|from|to)\.(.+)$/s.exec(key) ?? [];
    if (!kind) continue;
    const chip = (chips[column] ??= noChip());
    if (kind === "is") chip.is.push(value);
    else if (kind === "none") chip.empty = true;
    else chip[kind] = value;
  }
  return chips;
}

/** Examples are a list such as 17,-23,@token: an item, a negative item, an uploaded picture (-@token: negative). */
function readExamples(text) {
  const found = [];
  for (const part of (text ?? "").split(",")) {
    const [, minus, at, name] = /^(-?)(@?)([\w-]+)$/.exec(part) ?? [];
    if (name === undefined) continue;
    if (at) found.push({ upload: name, negative: minus === "-" });
    else if (positive(name) !== null) found.push({ id: Number(name), negative: minus === "-" });
  }
  return found;
}

export const nameOf = (example) => (example.upload === undefined ? `${example.id}` : `@${example.upload}`);

export function read(search = location.search) {
  const given = new URLSearchParams(search);
  const k = positive(given.get("k") ?? "") ?? DEFAULTS.k;
  return {
    view: given.get("view") ?? DEFAULTS.view,
    where: given.get("where") ?? DEFAULTS.where,
    sort: given.get("sort") ?? DEFAULTS.sort,
    order: given.get("order") === "desc" ? "desc" : "asc",
    queue: given.get("queue") ?? DEFAULTS.queue,
    of: given.get("of") ?? DEFAULTS.of,
    item: positive(given.get("item") ?? ""),
    at: positive(given.get("at") ?? ""),
    query: readExamples(given.get("query")),
    k: Math.min(Math.max(k, 1), MOST_HITS),
    above: fraction(given.get("above")),
    unique: fraction(given.get("unique")),
    chips: readChips(given),
  };
}

export function write(route) {
  const out = new URLSearchParams();
  for (const [key, usual] of Object.entries(DEFAULTS)) if (route[key] !== usual) out.set(key, route[key]);
  if (route.query.length) out.set("query", route.query.map((one) => (one.negative ? "-" : "") + nameOf(one)).join(","));
  for (const [column, chip] of Object.entries(route.chips)) {
    for (const value of chip.is) out.append(`is.${column}`, value);
    if (chip.empty) out.append(`none.${column}`, "");
    if (chip.from !== "") out.append(`from.${column}`, chip.from);
    if (chip.to !== "") out.append(`to.${column}`, chip.to);
  }
  const text = out.toString().replaceAll("%2C", ",").replaceAll("%40", "@");
  return text ? `?${text}` : location.pathname;
}

const NO_ITEM = { item: null, at: null };

/** What decides which list is shown: the address without the item that is shown large. */
export const listKey = (route) => write({ ...route, ...NO_ITEM });

const current = shared(read());

addEventListener("popstate", () => current.set(read()));

export const route = current.get;
export const useRoute = current.use;

/** Change what is shown. A new entry of the history is made, unless `replace` is true. */
export function go(change, { replace = false, memory = {} } = {}) {
  const address = write({ ...route(), ...change });
  if (!replace && address === write(route())) return;
  if (replace) history.replaceState({ ...history.state, ...memory }, "", address);
  else history.pushState(memory, "", address);
  current.set(read(address.startsWith("?") ? address : ""));
}

/** The same for a change of the list: no item is shown large then. */
export const show = (change, options) => go({ ...change, ...NO_ITEM }, options);

/** What this entry of the history remembers beside its address, such as the place in the grid. */
export const remembered = () => history.state ?? {};
export const remember = (memory) => history.replaceState({ ...history.state, ...memory }, "");

/** The chips with one column changed; a column without any is left out. */
export function withChip(chips, column, change) {
  const chip = { ...noChip(), ...chips[column], ...change };
  const rest = Object.fromEntries(Object.entries(chips).filter(([name]) => name !== column));
  return chip.is.length || chip.empty || chip.from !== "" || chip.to !== "" ? { ...rest, [column]: chip } : rest;
}
