// The list of keys.
import { useState } from "./vendor/hooks.js";
import { Dialog } from "./dialog.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { allBindings, useKeys } from "./keys.js";

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", PageUp: "Page up", PageDown: "Page down" };

const Key = ({ name }) =>
  html`<span class="pair">${name.split(" ").map((one) => html`<kbd>${one.split("+").map((part) => NAMES[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join(" + ")}</kbd>`)}</span>`;

function Row({ binding }) {
  return html`<div class="row"><dt>${(binding.show ?? binding.keys).map((key) => html`<${Key} name=${key} />`)}</dt><dd>${binding.does}</dd></div>`;
}

export function Help({ onClose }) {
  const [bindings] = useState(allBindings);
  useKeys([{ keys: ["?"], run: onClose }], 9);
  const groups = [...new Set(bindings.map((one) => one.group))];
  return html`<${Dialog} name="Keys" className="window help" onClose=${onClose}>
    <header><h2>Keys</h2><button class="quiet round" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button></header>
    <div class="groups">${groups.map(
      (group) => html`<section><h3>${group}</h3><dl>${bindings.filter((one) => one.group === group).map((one) => html`<${Row} binding=${one} />`)}</dl></section>`,
    )}</div>
    <p class="note">Keys do nothing while you write in a text field.</p>
  </${Dialog}>`;
}
