// The row above the pictures: condition, filters, order, size, and how many there are.
import { html } from "./html.js";
import { Active, FilterButton } from "./filters.js";
import { Icon } from "./icons.js";
import { setSize, SIZE_NAMES, useSize } from "./size.js";
import { show, useRoute } from "./state.js";
import { plain } from "./text.js";
import { Where } from "./where.js";

export function Sort({ columns }) {
  const { sort, order } = useRoute();
  const turned = order === "asc" ? "desc" : "asc";
  return html`<div class="sort">
    <label><span>Sort</span><select value=${sort} onChange=${(event) => show({ sort: event.target.value })}>
      ${columns.map(({ name }) => html`<option value=${name} selected=${name === sort}>${plain(name, 60)}</option>`)}
    </select></label>
    <button class="quiet round" aria-label=${order === "asc" ? "Ascending; turn the order" : "Descending; turn the order"} onClick=${() => show({ order: turned })}><${Icon} name=${order === "asc" ? "down" : "up"} /></button>
  </div>`;
}

function Sizes() {
  const [size] = useSize();
  return html`<div class="sizes" role="group" aria-label="Size of the pictures">
    ${SIZE_NAMES.map((name) => html`<button class="quiet round" aria-pressed=${String(name === size)} aria-label=${name} title=${name} onClick=${() => setSize(name)}><span class="square ${name}"></span></button>`)}
  </div>`;
}

/** `words` say how many pictures there are; `children` are the options of the view. */
export function Toolbar({ columns, error, words, children, filtersOpen, setFiltersOpen }) {
  return html`<div class="toolbar">
    <${Where} columns=${columns} error=${error} />
    <${FilterButton} open=${filtersOpen} setOpen=${setFiltersOpen} />
    <${Active} />
    <p class="count" aria-live="polite">${words}</p>
    <div class="view-options">${children}<${Sizes} /></div>
  </div>`;
}
