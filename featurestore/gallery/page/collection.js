// What the store holds, as the server last said: read at the start, and again soon after this page has changed it.
import { getStore } from "./api.js";
import { shared } from "./shared.js";

const SOON = 1500; // milliseconds
const now = shared(null);
let waiting = 0;

export const useCollection = now.use;
export const setCollection = now.set;

/** Whether this page has changed it since it was read. */
export const isChangedHere = () => waiting !== 0;

/** Read it again after a pause: the changes of that time are counted together. When it fails, the next change asks again. */
export function readSoon() {
  if (waiting) return;
  waiting = setTimeout(async () => {
    waiting = 0;
    const found = await getStore().catch(() => null);
    if (found !== null) now.set(found);
  }, SOON);
}
