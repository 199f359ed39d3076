// The line that says whether all labels of this page are on the disk.
import { html } from "./html.js";
import { useSaving } from "./labelling.js";
import { count, plain } from "./text.js";

export function Saving() {
  const { unsaved, trouble, any } = useSaving();
  if (!any) return null;
  if (unsaved > 0 && trouble !== null)
    return html`<p class="saving trouble" role="alert"><strong>${count(unsaved)} NOT saved</strong>, trying again: <bdi dir="auto">${plain(trouble, 500)}</bdi></p>`;
  return html`<p class="saving">${unsaved > 0 ? `saving ${count(unsaved)}` : "all saved"}</p>`;
}
