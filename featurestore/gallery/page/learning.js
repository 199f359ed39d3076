// How good the labels are: the accuracy on random images, by how many of the others were learnt from.
import { useEffect, useState } from "./vendor/hooks.js";
import { getLearning } from "./api.js";
import { html } from "./html.js";
import { useSaving } from "./labelling.js";
import { count, counted, plain } from "./text.js";

const EVERY = 20; // labels
const LEAST = 5; // random images that the server needs
const AT_FIRST = 5; // as long as there is no figure
const [WIDTH, HEIGHT] = [288, 168];
const ROOM = { left: 44, right: 12, top: 10, bottom: 40 }; // pixels around the curve
const percent = (share) => `${Math.round(share * 100)} %`;

/** The measured points, asked for again after every batch of labels that were saved. */
function useLearning() {
  const { saved } = useSaving();
  const [found, setFound] = useState({ learning: null, error: null });
  const round = Math.floor(saved / (found.learning?.points.length ? EVERY : AT_FIRST));
  useEffect(() => {
    const controller = new AbortController();
    getLearning(controller.signal).then(
      (learning) => setFound({ learning, error: null }),
      (error) => error.name !== "AbortError" && setFound((before) => ({ ...before, error: error.message })),
    );
    return () => controller.abort();
  }, [round]);
  return found;
}

/** A round number of which one to three steps reach the largest number of labels. */
function stepFor(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [0.5, 1, 2, 5].map((times) => times * power).find((step) => step >= 1 && most / step <= 4) ?? power;
}

function Curve({ points }) {
  const most = points.at(-1).labels;
  const x = (labels) => ROOM.left + ((WIDTH - ROOM.left - ROOM.right) * labels) / Math.max(most, 1);
  const y = (share) => ROOM.top + (HEIGHT - ROOM.top - ROOM.bottom) * (1 - share);
  const at = (labels, share) => `${x(labels).toFixed(1)},${y(share).toFixed(1)}`;
  const band = [...points.map(({ labels, ci95 }) => at(labels, ci95[1])), ...points.toReversed().map(({ labels, ci95 }) => at(labels, ci95[0]))];
  const last = points.at(-1);
  const step = stepFor(most);
  const marks = Array.from({ length: Math.floor(most / step) + 1 }, (_, place) => place * step);
  return html`<svg class="curve" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`Accuracy on random images: ${percent(last.top1)} with ${counted(last.labels, "label")}, ${percent(last.ci95[0])} to ${percent(last.ci95[1])}`}>
    ${[0, 0.5, 1].map((share) => html`<line class="grid" x1=${ROOM.left} x2=${WIDTH - ROOM.right} y1=${y(share)} y2=${y(share)} /><text x=${ROOM.left - 6} y=${y(share) + 4} text-anchor="end">${percent(share)}</text>`)}
    ${marks.map((labels) => html`<text x=${x(labels)} y=${HEIGHT - ROOM.bottom + 16} text-anchor="middle">${count(labels)}</text>`)}
    <text x=${(ROOM.left + WIDTH - ROOM.right) / 2} y=${HEIGHT - 6} text-anchor="middle">labels</text>
    <polygon class="band" points=${band.join(" ")} />
    <polyline points=${points.map(({ labels, top1 }) => at(labels, top1)).join(" ")} />
    ${points.map(({ labels, top1, ci95 }) => html`<line class="interval" x1=${x(labels)} x2=${x(labels)} y1=${y(ci95[0])} y2=${y(ci95[1])} /><circle cx=${x(labels)} cy=${y(top1)} r="2.5" />`)}
  </svg>`;
}

/** What has to be labelled before there is something to measure. */
function missing({ n_labelled, n_classes, n_test }) {
  if (n_labelled === 0) return "Nothing is labelled yet.";
  if (n_classes < 2) return "All labels so far name one class. It takes two.";
  if (n_test < LEAST) return `To measure, it takes ${LEAST} labelled images that were drawn at random; ${n_test === 0 ? "none" : count(n_test)} so far. One of ten suggestions is.`;
  return "It takes more labels that were not drawn at random.";
}

/** `note` says why it cannot be measured. */
export function Learning({ note }) {
  const { learning, error } = useLearning();
  const last = learning?.points.at(-1);
  return html`<section class="learning" aria-label="Accuracy">
    <h3>Accuracy on random images</h3>
    ${last !== undefined &&
    html`<${Curve} points=${learning.points} />
      <p class="note"><b>${percent(last.top1)}</b>, with 95 % certainty ${percent(last.ci95[0])} to ${percent(last.ci95[1])}: measured on ${counted(learning.n_test, "random image")}, learnt from ${counted(last.labels, "other label")}.</p>`}
    ${learning !== null && last === undefined && html`<p class="note">${missing(learning)}</p>`}
    ${note && html`<p class="error"><bdi dir="auto">${plain(note, 500)}</bdi></p>`}
    ${error !== null && html`<p class="error" role="alert"><bdi dir="auto">${plain(error, 300)}</bdi></p>`}
  </section>`;
}
