// What is shown is in the address: this file reads it, writes it, and tells who listens.
import { useEffect, useState } from "./vendor/hooks.js";

export const MOST_HITS = 1000;
const DEFAULTS = { view: "browse", where: "", sort: "id", order: "asc", k: 100, above: null, unique: null, item: null, at: null };

const noChip = () => ({ is: [], empty: false, from: "", to: "" });
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

/** What decides which list is shown: the address without the item that is shown large. */
export const listKey = (route) => write({ ...route, item: null, at: null });

const listeners = new Set();
let current = read();

const tell = () => listeners.forEach((listener) => listener(current));

addEventListener("popstate", () => {
  current = read();
  tell();
});

export const route = () => current;

/** Change what is shown. A new entry of the history is made, unless `replace` is true. */
export function go(change, { replace = false, memory = {} } = {}) {
  const next = { ...current, ...change };
  const address = write(next);
  if (!replace && address === write(current)) return;
  if (replace) history.replaceState({ ...history.state, ...memory }, "", address);
  else history.pushState(memory, "", address);
  current = read(address.startsWith("?") ? address : "");
  tell();
}

/** What this entry of the history remembers beside its address, such as the place in the grid. */
export const remembered = () => history.state ?? {};
export const remember = (memory) => history.replaceState({ ...history.state, ...memory }, "");

export function useRoute() {
  const [now, set] = useState(current);
  useEffect(() => {
    listeners.add(set);
    set(current);
    return () => listeners.delete(set);
  }, []);
  return now;
}

/** The chips with one column changed; a column without any is left out. */
export function withChip(chips, column, change) {
  const chip = { ...noChip(), ...chips[column], ...change };
  const rest = Object.fromEntries(Object.entries(chips).filter(([name]) => name !== column));
  return chip.is.length || chip.empty || chip.from !== "" || chip.to !== "" ? { ...rest, [column]: chip } : rest;
}
