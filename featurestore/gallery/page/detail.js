// One item large, with what is known of it, and the items before and after it in the list.
import { useEffect, useState } from "./vendor/hooks.js";
import { getItem } from "./api.js";
import { toggle, useChoice } from "./choice.js";
import { Dialog } from "./dialog.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { useKeys } from "./keys.js";
import { openBox } from "./labelbox.js";
import { UNDO } from "./labelling.js";
import { Picture } from "./picture.js";
import { addExample, findLike } from "./query.js";
import { current, useLabels } from "./shown_labels.js";
import { go, remembered, show, useRoute } from "./state.js";
import { count, label, plain, score, time, value } from "./text.js";

/** Back to the list: by the history when the item was opened from it, so that back does not open it again. */
function close() {
  if (remembered().opened) history.back();
  else show({}, { replace: true });
}

const Fact = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;
const text = (found) => html`<bdi dir="auto">${found}</bdi>`;
const bytes = (number) => (number < 1024 ? `${number} bytes` : number < 1024 ** 2 ? `${(number / 1024).toFixed(1)} kB` : `${(number / 1024 ** 2).toFixed(1)} MB`);

function Facts({ item, hit }) {
  const named = label(item);
  const own = Object.entries(item.columns ?? {}).filter(([, found]) => found !== null);
  return html`<dl class="facts">
    ${hit?.score !== undefined && html`<${Fact} name="Score">${score(hit.score)}</${Fact}>`}
    <${Fact} name="Label">${named ? text(named) : html`<span class="none">none</span>`}</${Fact}>
    ${item.labelled_by && html`<${Fact} name="Labelled by">${text(plain(item.labelled_by))}${item.labelled_at && html`, ${time(item.labelled_at)}`}</${Fact}>`}
    ${item.split && html`<${Fact} name="Split">${text(plain(item.split))}</${Fact}>`}
    <${Fact} name="Size">${item.width} × ${item.height}${item.bytes !== undefined && item.bytes !== null && html`, ${bytes(item.bytes)}`}</${Fact}>
    <${Fact} name="Path">${text(plain(item.path))}</${Fact}>
    <${Fact} name="Id">${item.id}</${Fact}>
    ${own.map(([name, found]) => html`<${Fact} name=${text(plain(name, 200))}>${text(value(found))}</${Fact}>`)}
  </dl>`;
}

/** `list` is the list behind it, when it has come; its version makes it known again when more items have come. */
export function Detail({ list }) {
  const { item: id, at } = useRoute();
  const chosen = useChoice();
  const [whole, setWhole] = useState({ id: null });
  const [error, setError] = useState(null);
  const placed = list !== null && at !== null && at < (list.total ?? 0) && (list.get(at)?.id ?? id) === id;
  const listed = placed ? list.get(at) : undefined;
  useEffect(() => {
    const controller = new AbortController();
    setError(null);
    getItem(id, controller.signal).then(setWhole, (found) => found.name !== "AbortError" && setError(found.message));
    return () => controller.abort();
  }, [id]);
  useEffect(() => {
    if (placed) list.want(Math.max(0, at - 1), Math.min(at + 1, list.total - 1), "beside");
  }, [placed, at]);
  useLabels();
  const item = current(whole.id === id ? whole : listed);

  const step = (by) => async () => {
    const place = at + by;
    if (!placed || place < 0 || place >= list.total) return;
    const next = list.get(place);
    if (next && !next.gone) go({ item: next.id, at: place }, { replace: true });
  };
  const like = (negative) => () => item && (negative ? addExample(item, true) : findLike([item]));
  const box = () => item && openBox([item]);
  const choose = () => item && toggle(item);
  useKeys(
    [
      { keys: ["ArrowLeft", "ArrowUp"], does: "The picture before", group: "One picture", run: step(-1) },
      { keys: ["ArrowRight", "ArrowDown"], does: "The next picture", group: "One picture", run: step(1) },
      { keys: ["Space"], does: "Choose, or give up the choice", group: "One picture", run: choose },
      { keys: ["m"], does: "More like this", group: "One picture", run: like(false) },
      { keys: ["n"], does: "Not like this", group: "One picture", run: like(true) },
      { keys: ["l"], does: "Label", group: "One picture", run: box },
      { ...UNDO, does: "" },
      { keys: ["Enter", "Escape"], show: ["Escape"], does: "Back to the grid", group: "One picture", run: close },
    ],
    1,
  );
  const picked = chosen.has(id);
  return html`<${Dialog} name=${item ? `Picture: ${label(item, 80) || plain(item.name, 80)}` : "Picture"} className="detail" onClose=${close}>
    <div class="bar">
      <button class="quiet round" aria-label="Back to the grid" onClick=${close}><${Icon} name="close" /></button>
      <span class="place" aria-live="polite">${placed && `${count(at + 1)} of ${count(list.total)}`}</span>
      <button class="quiet round" aria-label="The picture before" disabled=${!placed || at === 0} onClick=${step(-1)}><${Icon} name="left" /></button>
      <button class="quiet round" aria-label="The next picture" disabled=${!placed || at >= list.total - 1} onClick=${step(1)}><${Icon} name="right" /></button>
    </div>
    ${error === null && html`<${Picture} item=${item} id=${id} />`}
    <div class="side">
      ${error !== null && html`<p class="error" role="alert"><bdi dir="auto">${error}</bdi></p>`}
      ${item && error === null && html`<h2><bdi dir="auto">${plain(item.name, 400)}</bdi></h2>
        <div class="actions">
          <button class="strong" onClick=${like(false)}>More like this</button>
          <button onClick=${like(true)}>Not like this</button>
          <button onClick=${box}>Label</button>
          <button aria-pressed=${String(picked)} onClick=${choose}>${picked ? "Chosen" : "Choose"}</button>
        </div>
        <${Facts} item=${item} hit=${listed} />`}
    </div>
  </${Dialog}>`;
}
