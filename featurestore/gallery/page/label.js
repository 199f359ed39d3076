// Label: one picture after the other gets a class by one key.
import { useEffect, useReducer, useRef, useState } from "./vendor/hooks.js";
import { imageOf } from "./api.js";
import { keepKeys, makeClass, useClasses } from "./classes.js";
import { ClassList } from "./classlist.js";
import { condition } from "./condition.js";
import { Active, FilterButton } from "./filters.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { useKeys } from "./keys.js";
import { label, undoAndSay, watch } from "./labelling.js";
import { Learning } from "./learning.js";
import { Picture } from "./picture.js";
import { keepFocus, QueueBar, QUEUES } from "./queuebar.js";
import { Queue, SOURCES } from "./queues.js";
import { current, useLabels } from "./shown_labels.js";
import { useRoute } from "./state.js";
import { Strip } from "./strip.js";
import { counted, label as labelText, plain, spoken } from "./text.js";
import { Where } from "./where.js";
import { READ_ONLY } from "./words.js";

const AHEAD = 3; // pictures loaded before they are shown
const group = "Label";

/** The queue that the address asks for; null as long as it is not known what it is. */
function useQueue(name, key) {
  const [, draw] = useReducer((number) => number + 1, 0);
  const [queue, setQueue] = useState(null);
  useEffect(() => {
    if (key === null) return setQueue(null);
    const made = new Queue(SOURCES[name](key), draw);
    setQueue(made);
    made.go(0);
    return () => (made.closed = true);
  }, [name, key]);
  useEffect(() => {
    if (queue === null) return undefined;
    return watch(({ undone, refused }) => {
      if (undone?.items.length === 1) queue.bring(undone.items[0]);
      for (const item of refused?.items ?? []) queue.comeAgain(item);
    });
  }, [queue]);
  return queue;
}

/** Have the next pictures at hand, so that a key shows them at once. */
function useAhead(queue) {
  const images = useRef([]);
  const next = queue?.items.slice(queue.at + 1, queue.at + 1 + AHEAD) ?? [];
  useEffect(() => {
    images.current = next.map((item) => Object.assign(new Image(), { src: imageOf(item) }));
  }, [next.map(({ id }) => id).join()]);
}

/** In place of a picture: what the queue waits for, or why there is none. */
function Nothing({ queue, kind }) {
  if (queue === null) return html`<div class="nothing">${kind === "predictions" && html`<p>Choose a class above: its pictures without a label come one after the other.</p>`}</div>`;
  if (queue.loading) return html`<div class="nothing"><p role="status">${kind === "suggestions" ? "Looking for the pictures that help most…" : "Loading…"}</p></div>`;
  const again = () => queue.again();
  return html`<div class="nothing end">
    ${queue.error !== null ? html`<p role="alert"><bdi dir="auto">${plain(queue.error.message, 1000)}</bdi></p>` : html`<p>No picture is left here.</p>`}
    <div class="actions">
      ${queue.waiting > 0 && html`<button class="strong" onClick=${() => queue.unskip()}>Back to ${counted(queue.waiting, "skipped picture")}</button>`}
      <button onClick=${again}>Ask again</button>
    </div>
  </div>`;
}

const percent = (share) => `${Math.round(share * 100)} %`;

function About({ item, queue }) {
  const named = labelText(item, 80);
  return html`<div class="about-item">
    <h2 title=${plain(item.path ?? item.name, 1000)}><bdi dir="auto">${plain(item.name, 120)}</bdi></h2>
    <p class="note" aria-live="polite"><span class="spoken">${spoken(item)}. </span>
      ${named && html`<span class="given">Labelled as <bdi dir="auto">${named}</bdi>. </span>`}
      ${!named && item.guess && html`<span class="guess">Perhaps <bdi dir="auto">${plain(item.guess, 80)}</bdi>${item.confidence !== null && `, ${percent(item.confidence)}`}. </span>`}
      ${item.random && html`<b>Drawn at random, to measure. </b>`}
      ${item.reason && html`<bdi dir="auto">${plain(item.reason, 200)}</bdi>`}
      ${queue.skipped.has(item.id) && !named && " Skipped."}</p>
  </div>`;
}

const Hint = ({ name }) => html`<kbd aria-hidden="true">${name}</kbd>`;

export function Label({ store, onList, filtersOpen, setFiltersOpen }) {
  const route = useRoute();
  const classes = useClasses();
  const stage = useRef(null);
  const columns = store?.columns ?? [];
  useLabels();
  useEffect(() => onList(null), []);
  const kind = QUEUES.some(({ name }) => name === route.queue) ? route.queue : QUEUES[0].name;
  const known = store !== null && !store.read_only;
  const conditioned = route.where !== "" || Object.keys(route.chips).length > 0;
  const queue = useQueue(kind, !known ? null : kind === "predictions" ? route.of || null : condition(route, columns));
  useAhead(queue);
  const item = queue?.now;
  const ready = item !== undefined && !item.gone;
  const guess = ready && item.guess && !labelText(item) ? item.guess : null;

  const focus = () => stage.current?.focus({ preventScroll: true });
  useEffect(focus, []); // so that Space and Enter do not press what led here
  const give = (name) => {
    if (!ready) return;
    makeClass(name);
    label([item], name);
    queue.next();
    keepKeys();
  };
  const once = (run) => (event) => !event.repeat && run(); // a key that is held down labels one picture, not many
  const accept = () => guess !== null && give(guess);
  const skip = () => ready && queue.skip();
  const move = (by) => queue?.go(queue.at + by);
  const back = () => move(-1);
  const on = () => move(1);
  const withKeys = (classes ?? []).filter(({ key }) => key !== null);
  const onClassKey = (event) => !event.repeat && give(withKeys.find(({ key }) => key === event.key.toLowerCase()).name);
  useKeys([
    { keys: ["Enter"], does: "Accept the guess, and on", group, run: once(accept) },
    { keys: ["Space"], does: "Skip: leave it for now", group, run: once(skip) },
    ...(kind === "predictions" ? [{ keys: ["x"], does: "Not this class: leave it for now", group, run: once(skip) }] : []),
    { keys: ["ArrowLeft", "ArrowUp"], does: "Back, without labelling", group, run: back },
    { keys: ["ArrowRight", "ArrowDown"], does: "On, without labelling", group, run: on },
    { keys: withKeys.map(({ key }) => key), show: ["1", "2", "…"], does: "Label with the class of this key, and on", group, run: onClassKey },
  ]);

  if (store?.read_only) return html`<div class="nothing"><p role="alert">${READ_ONLY}</p></div>`;
  const ofBox = queue?.error?.type === "QueryError" && conditioned ? queue.error.message : null;
  return html`<div class="toolbar labelbar">
      <${QueueBar} kind=${kind} of=${route.of} />
      ${kind !== "predictions" && html`<${Where} columns=${columns} error=${ofBox} /><${FilterButton} open=${filtersOpen} setOpen=${setFiltersOpen} /><${Active} />`}
    </div>
    <div class="labelling">
      <section class="one" ref=${stage} tabindex="-1" aria-label="The picture to label">
        ${ready ? html`<${Picture} item=${item} id=${item.id} />` : item?.gone ? html`<div class="nothing"><p>This picture is no longer in the store.</p></div>` : html`<${Nothing} queue=${queue} kind=${kind} />`}
        ${ready && html`<${About} item=${item} queue=${queue} />`}
        <div class="actions">
          <button class="quiet round" aria-label="Back, without labelling" disabled=${!queue || queue.at === 0} onMouseDown=${keepFocus} onClick=${back}><${Icon} name="left" /></button>
          ${guess !== null && html`<button class="strong accept" onMouseDown=${keepFocus} onClick=${accept}><span>Accept <bdi dir="auto">${plain(guess, 60)}</bdi></span><${Hint} name="Enter" /></button>`}
          <button disabled=${!ready} onMouseDown=${keepFocus} onClick=${skip}>${kind === "predictions" ? html`Not this<${Hint} name="X" />` : html`Skip<${Hint} name="Space" />`}</button>
          <button onMouseDown=${keepFocus} onClick=${undoAndSay}>Undo<${Hint} name="Z" /></button>
          <button class="quiet round" aria-label="On, without labelling" disabled=${!queue || queue.at >= queue.items.length} onMouseDown=${keepFocus} onClick=${on}><${Icon} name="right" /></button>
        </div>
        ${queue !== null && queue.items.length > 0 && html`<${Strip} queue=${queue} onGo=${(place) => queue.go(place)} />`}
      </section>
      <aside class="beside">
        ${classes !== null && html`<${ClassList} classes=${classes} guess=${guess} disabled=${!ready} onGive=${give} onDone=${focus} />`}
        <${Learning} note=${queue?.note} />
      </aside>
    </div>`;
}
