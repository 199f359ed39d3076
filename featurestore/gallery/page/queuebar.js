// The choice of what to label, and for predictions, of which class.
import { useEffect, useState } from "./vendor/hooks.js";
import { getPredictions } from "./api.js";
import { html } from "./html.js";
import { useSaving } from "./labelling.js";
import { show } from "./state.js";
import { count, plain } from "./text.js";

export const QUEUES = [
  { name: "suggestions", title: "Suggestions", about: "What helps most to learn the classes; one of ten is drawn at random." },
  { name: "unlabelled", title: "Without a label", about: "All pictures without a label, one after the other." },
  { name: "predictions", title: "Predictions", about: "What the classifier takes for one class, the most doubtful first." },
];
const EVERY = 20; // labels until the classes are counted again

// The mouse leaves the focus where it is: otherwise Space would press the same button again.
export const keepFocus = (event) => event.preventDefault();

/** The classes that the classifier finds among the pictures without a label. */
function ChooseClass({ of }) {
  const round = Math.floor(useSaving().saved / EVERY);
  const [found, setFound] = useState({ classes: null, error: null });
  useEffect(() => {
    const controller = new AbortController();
    getPredictions({}, controller.signal).then(
      ({ classes }) => setFound({ classes, error: null }),
      (error) => error.name !== "AbortError" && setFound({ classes: null, error: error.message }),
    );
    return () => controller.abort();
  }, [of, round]);
  if (found.error !== null) return of === "" && html`<p class="error" role="alert"><bdi dir="auto">${plain(found.error, 500)}</bdi></p>`;
  const classes = (found.classes ?? []).filter(({ n }) => n > 0);
  if (found.classes !== null && classes.length === 0 && of === "") return html`<p class="note">All pictures have a label.</p>`;
  const names = of === "" || classes.some((one) => one.label === of) ? classes : [{ label: of, n: 0 }, ...classes];
  return html`<label class="of">Taken for<select value=${of} onChange=${(event) => (event.target.blur(), show({ of: event.target.value }))}>
    ${of === "" && html`<option value="">choose a class</option>`}
    ${names.map((one) => html`<option value=${one.label} selected=${one.label === of}>${plain(one.label, 60)} (${count(one.n)})</option>`)}
  </select></label>`;
}

/** `kind` is the queue that is shown; `of` the class of its predictions. */
export function QueueBar({ kind, of }) {
  return html`<div class="queues" role="group" aria-label="What to label">${QUEUES.map(
    ({ name, title, about }) => html`<button aria-pressed=${String(kind === name)} title=${about} onMouseDown=${keepFocus} onClick=${() => show({ queue: name })}>${title}</button>`,
  )}</div>
  ${kind === "predictions" && html`<${ChooseClass} of=${of} />`}`;
}
