// Search: the items nearest to examples, which are items or pictures that are dropped, pasted or chosen.
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { getItems, search, thumbOf } from "./api.js";
import { condition } from "./condition.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { HitList } from "./items.js";
import { Pictures } from "./pictures.js";
import { body, findPictures, leaveOut, previewOf, turn } from "./query.js";
import { current, useLabels } from "./shown_labels.js";
import { listKey, MOST_HITS, nameOf, route, show, useRoute } from "./state.js";
import { counted, label, plain } from "./text.js";
import { Toolbar } from "./toolbar.js";

const NUMBERS = [100, 300, MOST_HITS];
const FOLD = 0.95; // the score from which a hit is taken for a copy of a better one
const PAUSE = 250; // milliseconds between moving the limit and searching

export function PickPicture({ name = "Choose a picture" }) {
  const field = useRef(null);
  const picked = (event) => {
    findPictures(event.target.files);
    event.target.value = "";
  };
  return html`<button onClick=${() => field.current.click()}><${Icon} name="picture" />${name}</button>
    <input ref=${field} type="file" accept="image/*" multiple hidden onChange=${picked} />`;
}

function Example({ example, item: found }) {
  useLabels();
  const item = current(found);
  const words = item ? label(item, 60) || plain(item.name, 60) : example.upload ? "Your picture" : `Item ${example.id}`;
  const source = example.upload ? previewOf(example.upload) : item && !item.gone && thumbOf(item, 72);
  return html`<li class=${example.negative ? "example negative" : "example"}>
    <div class="frame">${source ? html`<img src=${source} alt="" />` : html`<${Icon} name="picture" />`}</div>
    <div class="about"><span class="role">${example.negative ? "Not like" : "Like"}</span><bdi dir="auto" title=${words}>${words}</bdi></div>
    <button class="quiet round" aria-label=${example.negative ? `Search for more like ${words}` : `Search for what is not like ${words}`} title=${example.negative ? "Like" : "Not like"} onClick=${() => turn(example)}><${Icon} name="swap" /></button>
    <button class="quiet round" aria-label=${`Take away ${words}`} title="Take away" onClick=${() => leaveOut(example)}><${Icon} name="close" /></button>
  </li>`;
}

/** The items among the examples, by id. */
function useExamples(query) {
  const [items, setItems] = useState({});
  const ids = query.map((one) => one.id).filter((id) => id !== undefined && !(id in items));
  useEffect(() => {
    if (ids.length === 0) return;
    getItems({ ids: ids.join(",") }).then(
      (found) => setItems((before) => ({ ...before, ...Object.fromEntries(found.items.map((item) => [item.id, item])) })),
      () => {}, // the search itself says what is wrong
    );
  }, [ids.join(",")]);
  return items;
}

function useHits(request) {
  const [found, setFound] = useState({ list: null, answer: null, error: null });
  const key = JSON.stringify(request);
  useEffect(() => {
    if (request === null) return setFound({ list: null, answer: null, error: null });
    const controller = new AbortController();
    const asked = listKey(route());
    search(request, controller.signal).then(
      (answer) => setFound({ list: new HitList(answer.hits, asked), answer, error: null }),
      (error) => error.name !== "AbortError" && setFound({ list: null, answer: null, error }),
    );
    return () => controller.abort();
  }, [key]);
  return found;
}

function Limits({ now }) {
  const [above, setAbove] = useState(now.above);
  const waiting = useRef(0);
  useEffect(() => setAbove(now.above), [now.above]);
  const change = (text) => {
    const number = text === "" ? null : Math.min(Math.max(Number(text), -1), 1);
    if (Number.isNaN(number)) return;
    setAbove(number);
    clearTimeout(waiting.current);
    waiting.current = setTimeout(() => show({ above: number }), PAUSE);
  };
  return html`<div class="limits">
    <label>Score at least<input type="number" min="-1" max="1" step="0.05" placeholder="any" value=${above ?? ""} onInput=${(event) => change(event.target.value)} /></label>
    <label>At most<select value=${String(now.k)} onChange=${(event) => show({ k: Number(event.target.value) })}>
      ${[...new Set([...NUMBERS, now.k])].sort((a, b) => a - b).map((k) => html`<option value=${String(k)} selected=${k === now.k}>${k}</option>`)}
    </select></label>
    <label class="check"><input type="checkbox" checked=${now.unique !== null} onChange=${(event) => show({ unique: event.target.checked ? FOLD : null })} />Fold near-duplicates</label>
  </div>`;
}

const Start = () => html`<div class="start">
  <${Icon} name="picture" />
  <h2>What are you looking for?</h2>
  <p>Drop a picture here, or paste one. In Browse, press <kbd>M</kbd> on a picture for more like it.</p>
  <${PickPicture} />
</div>`;

export function Search({ store, onList, ...bar }) {
  const now = useRoute();
  const columns = store?.columns ?? [];
  const known = store !== null || Object.keys(now.chips).length === 0;
  const asked = known && now.query.length > 0;
  const { list, answer, error } = useHits(asked ? body(now, condition(now, columns)) : null);
  const items = useExamples(now.query);
  useEffect(() => onList(list), [list]);
  if (now.query.length === 0) return html`<${Start} />`;
  const conditions = now.where !== "" || Object.keys(now.chips).length > 0;
  const ofBox = error?.type === "QueryError" && conditions;
  const empty = error ? (ofBox ? html`<p>There are no hits to show until the condition is mended.</p>` : html`<p role="alert"><bdi dir="auto">${error.message}</bdi></p>`) : list !== null && html`<p>Nothing was found. Lower the score, or take away a filter.</p>`;
  return html`<ul class="examples" aria-label="Examples">${now.query.map((example) => html`<${Example} key=${nameOf(example)} example=${example} item=${items[example.id]} />`)}<li class="add"><${PickPicture} name="Add a picture" /></li></ul>
    <${Toolbar} columns=${columns} error=${ofBox ? error.message : null} words=${list === null ? "" : counted(list.total, "hit")} ...${bar}><${Limits} now=${now} /></${Toolbar}>
    ${answer?.notes.length > 0 && html`<ul class="notes">${answer.notes.map((note) => html`<li><bdi dir="auto">${plain(note, 500)}</bdi></li>`)}</ul>`}
    <${Pictures} list=${list} version=${0} label="Hits, the nearest first" empty=${empty} />`;
}
