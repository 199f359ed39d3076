// The items that are chosen, in the order of choosing. A choice outlives a change of view.
import { useEffect, useState } from "./vendor/hooks.js";

let chosen = new Map(); // id -> item
const listeners = new Set();

function set(next) {
  chosen = next;
  listeners.forEach((listener) => listener(next));
}

export const isChosen = (item) => chosen.has(item.id);

export const choosing = () => chosen.size > 0;

export function choose(items, on) {
  const next = new Map(chosen);
  for (const item of items) on ? next.set(item.id, item) : next.delete(item.id);
  set(next);
}

export const toggle = (item) => choose([item], !isChosen(item));
export const clear = () => set(new Map());

export function useChoice() {
  const [now, setNow] = useState(chosen);
  useEffect(() => {
    listeners.add(setNow);
    setNow(chosen);
    return () => listeners.delete(setNow);
  }, []);
  return now;
}
