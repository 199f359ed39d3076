// The page: header, one view, and what lies over it.
import { render } from "./vendor/preact.js";
import { useEffect, useState } from "./vendor/hooks.js";
import { getStore } from "./api.js";
import { Browse } from "./browse.js";
import { isChangedHere, setCollection, useCollection } from "./collection.js";
import { Detail } from "./detail.js";
import { Drop } from "./drop.js";
import { Filters } from "./filters.js";
import { Header } from "./header.js";
import { Help } from "./help.js";
import { html } from "./html.js";
import { useKeys } from "./keys.js";
import { Label } from "./label.js";
import { LabelBox } from "./labelbox.js";
import { isSaving, UNDO } from "./labelling.js";
import { Search } from "./search.js";
import { useRoute } from "./state.js";
import { failed, toast, Toasts } from "./toasts.js";

const VIEWS = [
  { name: "browse", title: "Browse", key: "b", part: Browse },
  { name: "search", title: "Search", key: "s", part: Search },
  { name: "label", title: "Label", key: "l", part: Label },
];

const asked = getStore(); // at once, beside the first items
asked.catch(() => {}); // said below

function Page() {
  const route = useRoute();
  const store = useCollection();
  const [list, setList] = useState(null);
  const [help, setHelp] = useState(false);
  const [filters, setFilters] = useState(false);
  const [epoch, setEpoch] = useState(0);
  useEffect(() => void asked.then(setCollection, failed), []);
  useEffect(() => {
    if (!store) return undefined;
    const look = async () => {
      const now = document.hidden ? store : await getStore().catch(() => store);
      if (now.state === store.state) return;
      setCollection(now);
      if (isSaving() || isChangedHere()) return; // it was this page
      toast("The collection has changed.", { action: { name: "Show it as it is now", run: () => setEpoch((before) => before + 1) } });
    };
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [store]);
  useEffect(() => {
    if (store) document.title = `${store.name.replace(/\.store$/, "")} · featurestore`;
  }, [store]);
  useKeys([{ keys: ["?"], does: "This list", group: "Everywhere", everywhere: true, run: () => setHelp(true) }, UNDO]);
  const view = VIEWS.find((one) => one.name === route.view) ?? VIEWS[0];
  const closeFilters = () => {
    setFilters(false);
    document.querySelector(".filter-button")?.focus();
  };
  return html`<${Header} store=${store} views=${VIEWS} onHelp=${() => setHelp(true)} />
    <main class=${filters ? "with-filters" : ""}>
      ${filters && store && html`<${Filters} columns=${store.columns} onClose=${closeFilters} />`}
      <div class="view"><${view.part} key=${`${view.name} ${epoch}`} store=${store} onList=${setList} filtersOpen=${filters} setFiltersOpen=${setFilters} /></div>
    </main>
    ${route.item !== null && html`<${Detail} list=${list} />`}
    <${LabelBox} />
    ${help && html`<${Help} onClose=${() => setHelp(false)} />`}
    <${Drop} /><${Toasts} />`;
}

render(html`<${Page} />`, document.getElementById("page"));
