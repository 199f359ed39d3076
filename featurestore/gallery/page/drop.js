// Pictures that are dropped or pasted anywhere on the page become a search.
import { useEffect, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { findPictures } from "./query.js";

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

export function Drop() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const drag = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event) => event.relatedTarget === null && setOver(false);
    const drop = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(false);
      findPictures(event.dataTransfer.files);
    };
    const paste = (event) => {
      if (event.clipboardData.files.length === 0) return; // text goes where it is pasted
      event.preventDefault();
      findPictures(event.clipboardData.files);
    };
    const all = { dragenter: drag, dragover: drag, dragleave: leave, drop, paste };
    for (const [name, run] of Object.entries(all)) addEventListener(name, run);
    return () => Object.entries(all).forEach(([name, run]) => removeEventListener(name, run));
  }, []);
  return over && html`<div class="drop"><p>Drop to search</p></div>`;
}
