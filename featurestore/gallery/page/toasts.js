// Short messages in a corner, above all else. Errors stay until they are closed; the rest goes by itself.
import { useEffect, useRef } from "./vendor/hooks.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { shared } from "./shared.js";

const MOST = 3;
const STAYS = 6000; // milliseconds
const shown = shared([]);
let number = 0;

const close = (id) => shown.set(shown.get().filter((toast) => toast.id !== id));

/** Say something. `action` is {name, run}; the same words are not shown twice. */
export function toast(words, { error = false, action = null } = {}) {
  const made = { id: ++number, words, error, action };
  shown.set([...shown.get().filter((one) => one.words !== words), made].slice(-MOST));
  if (!error) setTimeout(() => close(made.id), STAYS);
}

export const failed = (error) => toast(error.message, { error: true });

const Toast = ({ words, action, id }) => html`<div class="toast">
  <bdi dir="auto">${words}</bdi>
  ${action && html`<button class="quiet" onClick=${() => (close(id), action.run())}>${action.name}</button>`}
  <button class="quiet round" aria-label="Close the message" onClick=${() => close(id)}><${Icon} name="close" /></button>
</div>`;

export function Toasts() {
  const now = shown.use();
  const node = useRef(null);
  useEffect(() => {
    if (now.length === 0) return;
    if (node.current.matches(":popover-open")) node.current.hidePopover(); // and above what was opened meanwhile
    node.current.showPopover();
  }, [now]);
  const of = (error) => now.filter((one) => one.error === error).map((one) => html`<${Toast} key=${one.id} ...${one} />`);
  return html`<div ref=${node} class="toasts" popover="manual"><div role="status">${of(false)}</div><div role="alert">${of(true)}</div></div>`;
}
