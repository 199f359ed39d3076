// The classes that labels name: how many items each has, and the key that gives it.
import { useEffect } from "./vendor/hooks.js";
import { getSettings, putSettings } from "./api.js";
import { useCollection } from "./collection.js";
import { shared } from "./shared.js";
import { countsNow, useLabels } from "./shown_labels.js";
import { failed } from "./toasts.js";

export const KEYS = [..."1234567890abcdehijkmopqrstuvwy"]; // without those that do something else in the Label view: f g l n x z
const made = new Set(); // classes made here, which have no items yet
const kept = shared(null); // Map of class -> key, as the server keeps them, once it has said so
let given = new Map(); // the same with keys for the others: as long as the page lives, a class keeps its key
let asked = null;

const isKey = (key) => typeof key === "string" && [...key].length === 1 && !/[\s\p{C}]/u.test(key);

/** Keys for all classes that can have one: those that are kept, then those that are free, for the most frequent classes in the order of their names. */
function giveKeys(counts) {
  const next = new Map();
  const taken = new Set();
  for (const [name, key] of [...kept.get(), ...given]) {
    if (!isKey(key) || taken.has(key) || next.has(name) || !counts.has(name)) continue;
    next.set(name, key);
    taken.add(key);
  }
  const free = KEYS.filter((key) => !taken.has(key));
  const without = free.length ? [...counts.keys()].filter((name) => !next.has(name)) : [];
  without.sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
  const chosen = without.slice(0, free.length).sort();
  chosen.forEach((name, place) => next.set(name, free[place]));
  given = next;
}

const rank = ({ key }) => (key === null ? KEYS.length + 1 : KEYS.includes(key) ? KEYS.indexOf(key) : KEYS.length);

/** All classes, {name, count, key}: in the order of their keys, then the most frequent first. Null until they are known. */
export function useClasses() {
  const store = useCollection();
  const known = kept.use();
  useLabels();
  useEffect(() => {
    asked ??= getSettings().then(
      ({ keys }) => kept.set(new Map(Object.entries(keys))),
      (error) => {
        asked = null;
        kept.set(new Map()); // labels can be given all the same
        failed(error);
      },
    );
  }, []);
  if (store === null || known === null) return null;
  const counts = countsNow(store);
  for (const name of [...made, ...known.keys()]) if (!counts.has(name)) counts.set(name, 0);
  for (const [name, number] of counts) if (number <= 0 && !made.has(name) && !known.has(name)) counts.delete(name);
  giveKeys(counts);
  return [...counts]
    .map(([name, count]) => ({ name, count: Math.max(0, count), key: given.get(name) ?? null }))
    .sort((a, b) => rank(a) - rank(b) || b.count - a.count || (a.name < b.name ? -1 : 1));
}

/** Keep the keys as they are, so that they are the same tomorrow: from the first label that is given. When it fails, the next label tries again. */
export async function keepKeys(onError = () => {}) {
  const before = kept.get();
  if (before === null || (given.size === before.size && [...given].every(([name, key]) => before.get(name) === key))) return;
  kept.set(new Map(given));
  try {
    await putSettings({ keys: Object.fromEntries(given) });
  } catch (error) {
    kept.set(before);
    onError(error);
  }
}

/** Make a class known before an item has it. */
export const makeClass = (name) => made.add(name);

/** Give a class another key; the class that had it gets the key of this one. */
export function changeKey(name, key) {
  const other = [...given].find(([, one]) => one === key)?.[0];
  const before = given.get(name);
  if (other !== undefined) given.delete(other);
  if (other !== undefined && before !== undefined) given.set(other, before);
  given.set(name, key);
  return keepKeys((error) => failed(new Error(`The key was not changed: ${error.message}`)));
}

/** The classes whose names hold a text, those that begin with it first. */
export function matching(classes, text) {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return classes;
  const begins = ({ name }) => name.toLowerCase().startsWith(wanted);
  const found = classes.filter(({ name }) => name.toLowerCase().includes(wanted));
  return [...found.filter(begins), ...found.filter((one) => !begins(one))];
}
