// The pictures of a queue in a row, small: those just before the one that is shown, that one, and the next ones.
import { thumbOf } from "./api.js";
import { html } from "./html.js";
import { current } from "./shown_labels.js";
import { label, spoken } from "./text.js";

const BEFORE = 3;
const SHOWN = 14;
const SIDE = 64; // pixels

export function Strip({ queue, onGo }) {
  const first = Math.max(0, queue.at - BEFORE);
  const items = queue.items.slice(first, first + SHOWN).map(current);
  return html`<ol class="strip" aria-label="The next pictures">${items.map((item, step) => {
    const place = first + step;
    const named = item.gone ? "gone" : label(item, 60);
    return html`<li key=${item.id}><button tabindex="-1" aria-current=${place === queue.at ? "true" : null} aria-label=${item.gone ? "No longer in the store" : spoken(item)} class=${queue.skipped.has(item.id) ? "skipped" : ""}
      onMouseDown=${(event) => event.preventDefault()} onClick=${() => onGo(place)}>
      <img src=${thumbOf(item, SIDE)} alt="" draggable=${false} /><span class="words"><bdi dir="auto">${named}</bdi></span></button></li>`;
  })}</ol>`;
}
