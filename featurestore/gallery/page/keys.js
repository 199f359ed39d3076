// Key bindings. They do nothing while a text field has the focus, and leave to buttons and lists the keys these need.
import { useEffect, useRef } from "./vendor/hooks.js";

const TEXT = "input:not([type=checkbox], [type=radio], [type=button], [type=file]), textarea, select, [contenteditable]";
const CONTROLS = "button, a[href], summary, input, label";
const OF_CONTROLS = ["Enter", "Space"];
const PAUSE = 1200; // milliseconds between the two keys of a pair

const bound = new Set(); // {layer, bindings}
let pending = null;

function named(event) {
  const key = event.key === " " ? "Space" : event.key;
  const shift = event.shiftKey && (key.length > 1 || key.toLowerCase() !== key.toUpperCase());
  return (shift ? "Shift+" : "") + (key.length === 1 ? key.toLowerCase() : key);
}

/** The bindings that are in force: those of the highest layer, such as a window over the page, and those that hold everywhere. */
function inForce() {
  const highest = Math.max(0, ...[...bound].map((set) => set.layer));
  return [...bound].flatMap((set) => set.bindings.filter((binding) => set.layer === highest || binding.everywhere));
}

function onKey(event) {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  const { target } = event;
  if (target.matches(TEXT)) return;
  const key = named(event);
  if (target.matches(CONTROLS) && OF_CONTROLS.includes(key)) return;
  const before = pending !== null && event.timeStamp - pending.at < PAUSE ? `${pending.key} ` : "";
  pending = null;
  const all = inForce();
  const binding = all.find((one) => one.keys.includes(before + key)) ?? all.find((one) => one.keys.includes(key));
  if (binding) {
    event.preventDefault();
    binding.run(event);
  } else if (all.some((one) => one.keys.some((keys) => keys.startsWith(`${key} `)))) pending = { key, at: event.timeStamp };
}

document.addEventListener("keydown", onKey);

/** Bind keys while a part of the page is there: a list of {keys, does, group, run(event), everywhere}. */
export function useKeys(bindings, layer = 0) {
  const set = useRef({ layer, bindings });
  set.current.bindings = bindings;
  useEffect(() => {
    bound.add(set.current);
    return () => bound.delete(set.current);
  }, []);
}

/** What is bound now, below the layer of the help itself: for the list of keys. */
export const allBindings = () => [...bound].filter((set) => set.layer < 9).flatMap((set) => set.bindings.filter((one) => one.does));
