// The labels that this page has given, as long as they are newer than what the server said: for pictures, and for the numbers of the classes.
import { shared } from "./shared.js";

const labels = new Map(); // id -> {labels, since}: what an item shows in place of what was asked for before `since`
const counts = new Set(); // {by: Map of class -> number, since}: what a count that was asked for before `since` lacks
const version = shared(0);

/** Draw a part of the page anew whenever a label has changed. */
export const useLabels = version.use;

export const redraw = () => version.set(version.get() + 1);

/** An item as it is now. */
export function current(item) {
  const made = item && labels.get(item.id);
  return !made || item.asked > made.since ? item : { ...item, ...made.labels };
}

/** Show other labels of an item, or {gone: true}, in place of all answers that were asked for before `since`. */
export const showLabels = (id, changed, since) => labels.set(id, { labels: changed, since });

export const namesOf = (item) => (item.labels?.length ? item.labels : item.label === null || item.label === undefined ? [] : [item.label]);

/** Count items as `name`, and no longer as what they were; `sign` -1 takes that back. The count is given back; its `since` is to be set. */
export function countAs(items, name, sign = 1) {
  const by = new Map();
  const add = (one, number) => by.set(one, (by.get(one) ?? 0) + number);
  for (const item of items) {
    add(name, sign);
    for (const before of namesOf(item)) add(before, -sign);
  }
  const made = { by, since: Infinity };
  counts.add(made);
  return made;
}

export const uncount = (made) => counts.delete(made);

/** The items of each class: what the store said, and what it could not know yet. */
export function countsNow(store) {
  const found = new Map(Object.entries(store?.labels ?? {}));
  for (const made of counts) {
    if (store?.asked > made.since) counts.delete(made); // by now it is counted there
    else for (const [name, number] of made.by) found.set(name, (found.get(name) ?? 0) + number);
  }
  return found;
}
