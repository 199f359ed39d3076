// How large the pictures of the grid are: a wish of this browser, not of the address.
import { SIZES } from "./grid.js";
import { shared } from "./shared.js";

const KEY = "featurestore-size";
const NAMES = Object.keys(SIZES);

function stored() {
  try {
    return NAMES.includes(localStorage[KEY]) ? localStorage[KEY] : "medium";
  } catch {
    return "medium"; // where storage is forbidden
  }
}

const current = shared(stored());

export function setSize(name) {
  try {
    localStorage[KEY] = name;
  } catch {
    // where storage is forbidden, the wish lasts as long as the page
  }
  current.set(name);
}

/** The size by name, and a function that makes the pictures larger (1) or smaller (-1). */
export function useSize() {
  const step = (by) => setSize(NAMES[Math.min(Math.max(NAMES.indexOf(current.get()) + by, 0), NAMES.length - 1)]);
  return [current.use(), step];
}

export { NAMES as SIZE_NAMES };
