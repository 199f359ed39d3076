// The name of the store and the way between the views.
import { html } from "./html.js";
import { useKeys } from "./keys.js";
import { Saving } from "./saving.js";
import { listKey, show, useRoute } from "./state.js";
import { plain } from "./text.js";

/** `views` are {name, title, key}, in their order: those that exist. */
export function Header({ store, views, onHelp }) {
  const route = useRoute();
  useKeys(views.map(({ name, title, key }) => ({ keys: [`g ${key}`], does: title, group: "Everywhere", run: () => show({ view: name }) })));
  const follow = (view) => (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a window of its own
    event.preventDefault();
    show({ view });
  };
  return html`<header class="top">
    <h1><bdi dir="auto">${store ? plain(store.name.replace(/\.store$/, ""), 100) : ""}</bdi></h1>
    <nav aria-label="Views">${views.map(
      ({ name, title }) => html`<a href=${listKey({ ...route, view: name })} aria-current=${route.view === name ? "page" : null} onClick=${follow(name)}>${title}</a>`,
    )}</nav>
    <${Saving} />
    <button class="quiet round help-button" aria-label="Keys" title="Keys" onClick=${onHelp}>?</button>
  </header>`;
}
