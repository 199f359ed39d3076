// A small box over the page that labels items: those that are chosen, or the one that is looked at.
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";
import { matching, useClasses } from "./classes.js";
import { clear } from "./choice.js";
import { useCollection } from "./collection.js";
import { Dialog } from "./dialog.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { useKeys } from "./keys.js";
import { labelAndSay } from "./labelling.js";
import { shared } from "./shared.js";
import { count, counted, plain } from "./text.js";
import { toast } from "./toasts.js";
import { READ_ONLY } from "./words.js";

const MOST = 8; // classes in sight
const opened = shared(null); // {items, chosen}

/** Ask for a class. `chosen` says that the items are the choice, which then ends. */
export const openBox = (items, chosen = false) => items.length > 0 && opened.set({ items, chosen });

function Box({ items, chosen }) {
  const [text, setText] = useState("");
  const [marked, setMarked] = useState(-1); // the place in the list; -1: what is written
  const field = useRef(null);
  const classes = useClasses() ?? [];
  const found = matching(classes, text).slice(0, MOST);
  const close = () => opened.set(null);
  useLayoutEffect(() => field.current.focus(), []); // before the next key
  useKeys([], 5); // what lies beneath hears no keys
  const give = (name) => {
    if (name === "") return;
    close();
    if (chosen) clear();
    labelAndSay(items, name);
  };
  const written = text.trim();
  const submit = (event) => {
    event.preventDefault();
    give(marked >= 0 && marked < found.length ? found[marked].name : written);
  };
  const onKey = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    setMarked(Math.min(Math.max(marked + step, -1), found.length - 1));
  };
  const isNew = written !== "" && !classes.some(({ name }) => name === written);
  return html`<${Dialog} name="Label" className="window labelbox" onClose=${close}>
    <form onSubmit=${submit}>
      <header><h2>${items.length === 1 ? "Label this picture" : `Label ${counted(items.length, "picture")}`}</h2>
        <button type="button" class="quiet round" aria-label="Close" onClick=${close}><${Icon} name="close" /></button></header>
      <input ref=${field} type="text" dir="auto" value=${text} placeholder="Class" aria-label="Class" autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="1000" enterkeyhint="done"
        role="combobox" aria-expanded=${String(found.length > 0)} aria-controls="labelbox-list" aria-autocomplete="list" aria-activedescendant=${marked >= 0 ? `labelbox-${marked}` : null}
        onInput=${(event) => (setText(event.target.value), setMarked(-1))} onKeyDown=${onKey} />
      <ul id="labelbox-list" role="listbox" aria-label="Classes">${found.map(
        ({ name, count: many }, place) => html`<li key=${name} id=${`labelbox-${place}`} role="option" aria-selected=${String(place === marked)} onClick=${() => give(name)}><bdi dir="auto">${plain(name, 200)}</bdi><span class="figure">${count(many)}</span></li>`,
      )}</ul>
      <p class="note" aria-live="polite">${isNew && marked < 0 ? html`Enter makes the new class <bdi dir="auto">${plain(written, 60)}</bdi>.` : "Enter labels. The arrow keys choose a class."}</p>
    </form>
  </${Dialog}>`;
}

export function LabelBox() {
  const store = useCollection();
  const now = opened.use();
  const refused = now !== null && store?.read_only;
  useEffect(() => {
    if (!refused) return;
    opened.set(null);
    toast(READ_ONLY);
  }, [refused]);
  return now !== null && !refused && html`<${Box} ...${now} />`;
}
