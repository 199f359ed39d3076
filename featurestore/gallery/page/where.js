// The box for one SQL condition, with the server's sentence beneath it when it is not understood.
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { useKeys } from "./keys.js";
import { show, useRoute } from "./state.js";
import { plain } from "./text.js";

export function Where({ columns, error }) {
  const { where } = useRoute();
  const [text, setText] = useState(where);
  const box = useRef(null);
  useEffect(() => setText(where), [where]);
  useKeys([{ keys: ["/"], does: "Write a condition", group: "Everywhere", run: () => (box.current.focus(), box.current.select()) }]);
  const apply = (event) => {
    event.preventDefault();
    show({ where: text.trim() });
  };
  const onKey = (event) => {
    if (event.key !== "Escape") return;
    setText(where);
    document.querySelector(".scroller")?.focus();
  };
  const insert = (name) => {
    const quoted = /^[a-z_]\w*$/i.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
    setText((before) => (before && !before.endsWith(" ") ? `${before} ${quoted}` : `${before}${quoted}`));
    box.current.focus();
  };
  return html`<form class="where" role="search" onSubmit=${apply}>
    <div class="box">
      <${Icon} name="search" />
      <input ref=${box} type="text" value=${text} placeholder="label = 'rose' AND width > 300" aria-label="Condition (SQL)" dir="auto"
        aria-invalid=${error ? "true" : "false"} aria-describedby="where-error" spellcheck="false" autocomplete="off" autocapitalize="off" enterkeyhint="search"
        onInput=${(event) => setText(event.target.value)} onKeyDown=${onKey} />
      ${where !== "" && html`<button type="button" class="quiet round" aria-label="Clear the condition" onClick=${() => show({ where: "" })}><${Icon} name="close" /></button>`}
    </div>
    <p class="error" id="where-error" role="alert">${error && html`<bdi dir="auto">${plain(error, 2000)}</bdi>`}</p>
    ${columns.length > 0 &&
    html`<p class="hint"><span>Columns</span>${columns.map(
      ({ name }) => html`<button type="button" tabindex="-1" class="quiet" onMouseDown=${(event) => event.preventDefault()} onClick=${() => insert(name)}><bdi dir="auto">${plain(name, 60)}</bdi></button>`,
    )}</p>`}
  </form>`;
}
