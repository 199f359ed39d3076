// Chips over columns: the values of each column with their counts, and ranges of numbers and times.
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { getValues } from "./api.js";
import { condition, isNumber, isTime } from "./condition.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { useKeys } from "./keys.js";
import { noChip, show, useRoute, withChip } from "./state.js";
import { count, plain, time, value as shownValue } from "./text.js";

const FIRST = ["label", "split"]; // open from the start
const NEVER = ["id", "path", "sha256", "labels"]; // nearly every item has a value of its own, or the same is said by another column
const FEW = 12;

const set = (chips, column, change) => show({ chips: withChip(chips, column, change) });

const words = (value) => (value === "" ? "(empty)" : value === "true" ? "yes" : value === "false" ? "no" : plain(value, 60));

function Range({ column, type, facts, chip, chips }) {
  const field = (side, name, limit) => {
    const changed = (event) => set(chips, column, { [side]: event.target.value.trim() });
    return html`<label>${name}<input type="text" inputmode=${isNumber(type) ? "decimal" : "text"} value=${chip[side]} autocomplete="off"
      placeholder=${isTime(type) ? time(limit ?? "") : shownValue(limit)} onChange=${changed} onKeyDown=${(event) => event.key === "Enter" && changed(event)} /></label>`;
  };
  return html`<div class="range">${field("from", "from", facts.least)}${field("to", "to", facts.greatest)}</div>`;
}

function Values({ column, facts, chip, chips }) {
  const [all, setAll] = useState(false);
  const known = facts.frequent.map(({ value, count: many }) => ({ value: String(value), many }));
  const gone = chip.is.filter((value) => !known.some((one) => one.value === value)).map((value) => ({ value, many: 0 }));
  const shown = [...gone, ...(all ? known : known.slice(0, FEW))];
  const press = (value) => set(chips, column, { is: chip.is.includes(value) ? chip.is.filter((one) => one !== value) : [...chip.is, value] });
  const more = Math.max(facts.distinct, known.length) - Math.min(known.length, FEW);
  return html`<div class="chips">
    ${shown.map(
      ({ value, many }) => html`<button class="chip" key=${value} aria-pressed=${String(chip.is.includes(value))} onClick=${() => press(value)}><bdi dir="auto">${words(value)}</bdi><span class="figure">${count(many)}</span></button>`,
    )}
    ${facts.empty > 0 &&
    html`<button class="chip" aria-pressed=${String(chip.empty)} onClick=${() => set(chips, column, { empty: !chip.empty })}><i>without</i><span class="figure">${count(facts.empty)}</span></button>`}
    ${more > 0 && known.length > FEW && html`<button class="quiet" onClick=${() => setAll(!all)}>${all ? "Fewer" : `${count(more)} more`}</button>`}
    ${all && facts.distinct > known.length && html`<p class="note">The ${count(known.length)} most frequent are shown; the box reaches all.</p>`}
  </div>`;
}

/** One column, read when it is opened and whenever the other chips or the box change. */
function Column({ column, columns, route, opened }) {
  const { name, type } = column;
  const [open, setOpen] = useState(opened);
  const [facts, setFacts] = useState(null);
  const chip = route.chips[name] ?? noChip();
  const others = condition(route, columns, name);
  useEffect(() => {
    if (!open) return undefined;
    const controller = new AbortController();
    getValues(name, others, controller.signal).then(setFacts, (error) => error.name !== "AbortError" && setFacts({ error: error.message }));
    return () => controller.abort();
  }, [open, others, name]);
  const ranged = isNumber(type) || isTime(type);
  const few = facts && !facts.error && (!ranged || facts.distinct <= FEW);
  return html`<details open=${open} onToggle=${(event) => setOpen(event.target.open)}>
    <summary><bdi dir="auto">${plain(name, 80)}</bdi></summary>
    ${facts?.error && html`<p class="error"><bdi dir="auto">${plain(facts.error, 500)}</bdi></p>`}
    ${facts && !facts.error && ranged && html`<${Range} column=${name} type=${type} facts=${facts} chip=${chip} chips=${route.chips} />`}
    ${few && html`<${Values} column=${name} facts=${facts} chip=${chip} chips=${route.chips} />`}
  </details>`;
}

export function Filters({ columns, onClose }) {
  const route = useRoute();
  const first = useRef(null);
  useEffect(() => first.current.focus(), []);
  const useful = columns.filter(({ name }) => !NEVER.includes(name));
  const rank = ({ name }) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  useful.sort((a, b) => rank(a) - rank(b));
  const onKey = (event) => event.key === "Escape" && (event.stopPropagation(), onClose());
  return html`<aside class="filters" aria-label="Filters" onKeyDown=${onKey}>
    <header><h2>Filters</h2><button ref=${first} class="quiet round" aria-label="Close the filters" onClick=${onClose}><${Icon} name="close" /></button></header>
    ${useful.map((column) => html`<${Column} key=${column.name} column=${column} columns=${columns} route=${route} opened=${FIRST.includes(column.name) || column.name in route.chips} />`)}
  </aside>`;
}

/** The conditions of the chips, each with what takes it away. */
function inForce(chips) {
  const found = [];
  for (const [column, chip] of Object.entries(chips)) {
    for (const value of chip.is) found.push({ column, text: words(value), without: { is: chip.is.filter((one) => one !== value) } });
    if (chip.empty) found.push({ column, text: "without", without: { empty: false } });
    if (chip.from !== "") found.push({ column, text: `from ${plain(chip.from, 30)}`, without: { from: "" } });
    if (chip.to !== "") found.push({ column, text: `to ${plain(chip.to, 30)}`, without: { to: "" } });
  }
  return found;
}

/** The chips in force, each of which a press takes away. */
export function Active() {
  const { chips } = useRoute();
  const found = inForce(chips);
  if (found.length === 0) return null;
  return html`<ul class="in-force" aria-label="Filters in force">
    ${found.map(
      ({ column, text, without }) => html`<li><button class="chip" onClick=${() => set(chips, column, without)}>
        <span class="column"><bdi dir="auto">${plain(column, 40)}</bdi></span> <bdi dir="auto">${text}</bdi><${Icon} name="close" /><span class="spoken">, take away</span>
      </button></li>`,
    )}
    ${found.length > 1 && html`<li><button class="quiet" onClick=${() => show({ chips: {} })}>Clear all</button></li>`}
  </ul>`;
}

export function FilterButton({ open, setOpen }) {
  const { chips } = useRoute();
  const number = inForce(chips).length;
  useKeys([{ keys: ["f"], does: "Filters", group: "Everywhere", run: () => setOpen(!open) }]);
  return html`<button class="filter-button" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}><${Icon} name="filter" />Filters${number > 0 && html`<span class="badge">${number}</span>`}</button>`;
}
