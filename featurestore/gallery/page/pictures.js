// The grid as a part of a view, with its keys: what Browse and Search have in common.
import { useEffect, useLayoutEffect, useRef } from "./vendor/hooks.js";
import { choose, choosing, clear, isChosen, toggle, useChoice } from "./choice.js";
import { Grid } from "./grid.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { useKeys } from "./keys.js";
import { openBox } from "./labelbox.js";
import { findLike } from "./query.js";
import { useLabels } from "./shown_labels.js";
import { go, listKey, remember, remembered, route, useRoute } from "./state.js";
import { counted } from "./text.js";
import { useSize } from "./size.js";
import { toast } from "./toasts.js";

const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
const MOST_CHOSEN = 1000;

export const openItem = (place, item) => go({ item: item.id, at: place }, { memory: { opened: true } });

/** Choose the items between two places of the list that have come. */
function chooseRange(list, from, to) {
  const [first, last] = [Math.min(from, to), Math.max(from, to)];
  const items = [];
  for (let place = first; place <= last && items.length < MOST_CHOSEN; place++) {
    const item = list.get(place);
    if (item) items.push(item);
  }
  if (items.length < last - first + 1) toast(`${counted(items.length, "picture")} of ${counted(last - first + 1, "picture")} could be chosen: the others have not been loaded.`);
  choose(items, true);
}

/** `version` rises when the list has changed; `label` names the list for screen readers. */
export function Pictures({ list, version, label, empty }) {
  const scroller = useRef(null);
  const grid = useRef(null);
  const start = useRef(null); // where a range began
  const chosen = useChoice();
  const labels = useLabels();
  const { item, at } = useRoute();
  const [size, setSize] = useSize();

  useLayoutEffect(() => {
    const made = new Grid(scroller.current, {
      open: openItem,
      chosen: isChosen,
      choosing,
      // A list that is about to be replaced must not leave its place to the next one.
      rest: (place) => route().item === null && made.list.key === listKey(route()) && remember({ place: made.active, top: place }),
      choose: (place, found, from) => (from === place ? toggle(found) : chooseRange(made.list, from, place)),
    });
    grid.current = made;
    return () => made.destroy();
  }, []);

  useLayoutEffect(() => {
    if (list === null) return;
    const { place = 0, top = 0 } = remembered();
    grid.current.size = size;
    grid.current.show(list, top, route().at ?? place);
  }, [list]);
  useLayoutEffect(() => grid.current.resize(size), [size]);
  useEffect(() => list && grid.current.changed(), [version]);
  useEffect(() => grid.current.remark(), [chosen]);
  useEffect(() => grid.current.relabel(), [labels]);
  useEffect(() => {
    if (item !== null && at !== null && list !== null) grid.current.reveal(at); // the grid follows the item that is shown large
  }, [item, at]);

  const now = () => list?.get(grid.current.active);
  const onNow = (run) => () => now() && run(now());
  const widen = (event) => {
    start.current ??= grid.current.active;
    const before = grid.current.active;
    grid.current.move(event.key);
    if (before !== grid.current.active) chooseRange(list, start.current, grid.current.active);
  };
  const move = (event) => {
    start.current = null;
    scroller.current.focus({ preventScroll: true });
    grid.current.move(event.key);
  };
  const meant = () => (chosen.size ? [...chosen.values()] : [now()].filter((found) => found && !found.gone));
  const box = () => openBox(meant(), chosen.size > 0);
  const examples = (negative) => () => {
    const items = meant();
    if (items.length === 0) return;
    findLike(items, negative);
    clear();
  };
  useKeys([
    { keys: [...ARROWS], does: "Move", group: "Pictures", run: move },
    { keys: ["PageUp", "PageDown", "Home", "End"], does: "A page on or back, first, last", group: "Pictures", run: move },
    { keys: ["Enter"], does: "Show large", group: "Pictures", run: onNow((found) => openItem(grid.current.active, found)) },
    { keys: ["Space"], does: "Choose, or give up the choice", group: "Pictures", run: onNow(toggle) },
    { keys: ARROWS.map((key) => `Shift+${key}`), show: ["Shift+ArrowRight"], does: "Choose a range", group: "Pictures", run: widen },
    { keys: ["Escape"], does: "Choose none", group: "Pictures", run: clear },
    { keys: ["m"], does: "More like this, or like those chosen", group: "Pictures", run: examples(false) },
    { keys: ["n"], does: "Not like this: a negative example", group: "Pictures", run: examples(true) },
    { keys: ["l"], does: "Label this, or those chosen", group: "Pictures", run: box },
    { keys: ["+", "="], show: ["+"], does: "Larger pictures", group: "Pictures", run: () => setSize(1) },
    { keys: ["-"], does: "Smaller pictures", group: "Pictures", run: () => setSize(-1) },
  ]);

  const none = list !== null && list.total === 0;
  return html`<div class="stage">
    <div ref=${scroller} class=${chosen.size > 0 ? "scroller choosing" : "scroller"} tabindex="0" role="listbox" aria-multiselectable="true" aria-label=${label} hidden=${list === null || none}></div>
    ${(list === null || none) && html`<div class="nothing">${empty}</div>`}
    ${chosen.size > 0 &&
    html`<div class="choice" role="region" aria-label="Chosen pictures">
      <span aria-live="polite">${counted(chosen.size, "picture")} chosen</span>
      <button class="strong" onClick=${examples(false)}>More like these</button>
      <button onClick=${examples(true)}>Not like these</button>
      <button onClick=${box}>Label</button>
      <button class="quiet round" aria-label="Choose none" title="Choose none" onClick=${clear}><${Icon} name="close" /></button>
    </div>`}
  </div>`;
}
