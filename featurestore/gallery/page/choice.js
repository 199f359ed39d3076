// The items that are chosen, in the order of choosing. A choice outlives a change of view.
import { shared } from "./shared.js";

const chosen = shared(new Map()); // id -> item

export const isChosen = (item) => chosen.get().has(item.id);

export const choosing = () => chosen.get().size > 0;

export function choose(items, on) {
  const next = new Map(chosen.get());
  for (const item of items) on ? next.set(item.id, item) : next.delete(item.id);
  chosen.set(next);
}

export const toggle = (item) => choose([item], !isChosen(item));
export const clear = () => chosen.set(new Map());

export const useChoice = chosen.use;
