// The picture of one item, as large as there is room, or the reason why there is none.
import { useState } from "./vendor/hooks.js";
import { imageOf, whyNot } from "./api.js";
import { html } from "./html.js";
import { label, plain } from "./text.js";

/** The height that is free is the CSS variable --free. `id` is known before the item is. */
export function Picture({ item, id }) {
  const [state, setState] = useState({ id: null, error: null });
  const check = (event) => whyNot(event.target).then((error) => error !== null && setState({ id, error }));
  const small = item && Math.max(item.width, item.height) <= 128;
  const most = item && item.width > 0 ? Math.max(item.width * 2, small ? 384 : 0) : null; // pixels: small pictures are enlarged
  const style = most && item.height > 0 ? { width: `min(100%, ${most}px, calc(var(--free) * ${item.width / item.height}))` } : {};
  return html`<div class="picture">
    ${state.error === null || state.id !== id
      ? item && html`<img key=${id} class=${small ? "tiny" : ""} src=${imageOf(item)} alt=${label(item, 200) || plain(item.name, 200)} style=${style} onLoad=${check} onError=${check} />`
      : html`<p class="failure" role="alert"><bdi dir="auto">${plain(state.error, 1000)}</bdi></p>`}
  </div>`;
}
