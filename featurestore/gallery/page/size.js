// How large the pictures of the grid are: a wish of this browser, not of the address.
import { useEffect, useState } from "./vendor/hooks.js";
import { SIZES } from "./grid.js";

const KEY = "featurestore-size";
const NAMES = Object.keys(SIZES);
const listeners = new Set();

function stored() {
  try {
    return NAMES.includes(localStorage[KEY]) ? localStorage[KEY] : "medium";
  } catch {
    return "medium"; // where storage is forbidden
  }
}

let current = stored();

export function setSize(name) {
  current = name;
  try {
    localStorage[KEY] = name;
  } catch {
    // where storage is forbidden, the wish lasts as long as the page
  }
  listeners.forEach((listener) => listener(name));
}

/** The size by name, and a function that makes the pictures larger (1) or smaller (-1). */
export function useSize() {
  const [now, set] = useState(current);
  useEffect(() => {
    listeners.add(set);
    return () => listeners.delete(set);
  }, []);
  const step = (by) => setSize(NAMES[Math.min(Math.max(NAMES.indexOf(current) + by, 0), NAMES.length - 1)]);
  return [now, step];
}

export { NAMES as SIZE_NAMES };
