// A value that several parts of the page share.
import { useEffect, useState } from "./vendor/hooks.js";

/** Make such a value: get(), set(next), and use(), by which a part is drawn anew whenever it has changed. */
export function shared(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      value = next;
      listeners.forEach((listener) => listener(next));
    },
    use() {
      const [now, set] = useState(value);
      useEffect(() => {
        listeners.add(set);
        set(value);
        return () => listeners.delete(set);
      }, []);
      return now;
    },
  };
}
