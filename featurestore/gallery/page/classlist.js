// The classes beside the picture: a press labels with one, a press on its key gives it another key, and the field finds or makes one.
import { useLayoutEffect, useRef, useState } from "./vendor/hooks.js";
import { changeKey, KEYS, matching } from "./classes.js";
import { html } from "./html.js";
import { useKeys } from "./keys.js";
import { keepFocus } from "./queuebar.js";
import { count, plain } from "./text.js";

const MOST = 200; // rows; the field finds the others

/** Why a key cannot be that of a class, or null when it can. */
function unfit(key) {
  if ([...key].length !== 1 || /[\s\p{C}]/u.test(key)) return "A key of a class is one letter, digit or sign.";
  if (!KEYS.includes(key) && /[\x21-\x7e]/.test(key)) return `The key ${key.toUpperCase()} does something else here. Press another one.`;
  return null;
}

/** Wait for the key that a class is to have. */
function NewKey({ name, onEnd }) {
  const [why, setWhy] = useState(null);
  useLayoutEffect(() => { // before the next key
    const onKey = (event) => {
      if (["Shift", "Control", "Alt", "Meta", "AltGraph", "Tab"].includes(event.key) || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") return onEnd();
      const key = event.key.toLowerCase();
      const found = unfit(key);
      if (found !== null) return setWhy(found);
      changeKey(name, key);
      return onEnd();
    };
    addEventListener("keydown", onKey, true); // before all other keys
    return () => removeEventListener("keydown", onKey, true);
  }, [name]);
  return html`<p class="new-key" role="status">${why ?? html`Press the new key for <bdi dir="auto">${plain(name, 60)}</bdi>; Esc leaves it.`}</p>`;
}

/** `guess` is the class that the picture probably has; `onGive` labels with a class; `onDone` puts the focus back. */
export function ClassList({ classes, guess, disabled, onGive, onDone }) {
  const [text, setText] = useState("");
  const [waiting, setWaiting] = useState(null); // the class that waits for a key
  const field = useRef(null);
  const list = useRef(null);
  useKeys([{ keys: ["n"], does: "A new class, or find one", group: "Label", run: () => field.current.focus() }]);
  const found = matching(classes, text);
  const written = text.trim();
  const isNew = written !== "" && !classes.some(({ name }) => name === written);
  const end = () => {
    setText("");
    onDone();
  };
  const give = (name) => {
    onGive(name);
    end();
  };
  const submit = (event) => {
    event.preventDefault();
    if (written !== "") give(written);
  };
  const rows = () => [...list.current.querySelectorAll(".class")];
  const onFieldKey = (event) => {
    if (event.key === "Escape") end();
    else if (event.key === "ArrowDown") {
      event.preventDefault();
      rows()[0]?.focus();
    }
  };
  const onListKey = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const all = rows();
    const next = all.indexOf(document.activeElement) + step;
    if (next < 0) field.current.focus();
    else all[next]?.focus();
  };
  return html`<section class="classes" aria-label="Classes">
    <form onSubmit=${submit}>
      <input ref=${field} type="text" dir="auto" value=${text} placeholder="New class, or find one" aria-label="New class, or find one" aria-describedby="class-note" autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="1000" enterkeyhint="done"
        onInput=${(event) => setText(event.target.value)} onKeyDown=${onFieldKey} />
      <kbd class="of-field" aria-hidden="true">N</kbd>
    </form>
    ${classes.length === 0 && written === "" && html`<p class="note">There is no class yet. Write the name of one here, and press Enter.</p>`}
    <p class="note" id="class-note" aria-live="polite">${written !== "" && (isNew ? html`Enter makes the class <bdi dir="auto">${plain(written, 60)}</bdi> and labels the picture.` : html`Enter labels the picture as <bdi dir="auto">${plain(written, 60)}</bdi>.`)}</p>
    ${waiting !== null && html`<${NewKey} name=${waiting} onEnd=${() => (setWaiting(null), onDone())} />`}
    <ul ref=${list} onKeyDown=${onListKey}>${found.slice(0, MOST).map(
      ({ name, count: many, key }) => html`<li key=${name} class=${name === guess ? "guessed" : ""}>
        <button class="key" aria-label=${key === null ? `Give ${plain(name, 80)} a key` : `Key ${key} of ${plain(name, 80)}: change it`} title="Change the key" aria-pressed=${String(waiting === name)} onMouseDown=${keepFocus} onClick=${() => setWaiting(waiting === name ? null : name)}>${key === null ? "+" : key.toUpperCase()}</button>
        <button class="class" disabled=${disabled} title=${plain(name, 1000)} onMouseDown=${keepFocus} onClick=${() => give(name)}><bdi dir="auto">${plain(name, 200)}</bdi><span class="figure">${count(many)}</span></button>
      </li>`,
    )}</ul>
    ${found.length > MOST && html`<p class="note">${count(found.length - MOST)} more: write a part of the name to find one.</p>`}
  </section>`;
}
