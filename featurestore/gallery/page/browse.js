// Browse: all items that fulfil a condition, in an order.
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { condition } from "./condition.js";
import { html } from "./html.js";
import { ItemList } from "./items.js";
import { Pictures } from "./pictures.js";
import { listKey, remembered, route as routeNow, useRoute } from "./state.js";
import { counted } from "./text.js";
import { failed } from "./toasts.js";
import { Sort, Toolbar } from "./toolbar.js";

/** The list that the address asks for, once its first items have come; before that, the one that was shown. */
function useItems(order) {
  const [found, setFound] = useState({ list: null, error: null });
  const [version, setVersion] = useState(0);
  const shown = useRef(null);
  const key = JSON.stringify(order);
  useEffect(() => {
    if (order === null) return undefined;
    const opened = {
      onChange: () => {
        if (shown.current !== list) {
          shown.current?.close();
          shown.current = list;
          setFound({ list, error: null });
        } else setVersion((before) => before + 1);
      },
      onError: (error) => {
        if (shown.current === list) return failed(error);
        shown.current?.close();
        shown.current = null;
        return setFound({ list: null, error });
      },
    };
    const list = new ItemList(order, opened);
    list.key = listKey(routeNow());
    list.open(routeNow().at ?? remembered().top ?? 0);
    return () => shown.current !== list && list.close();
  }, [key]);
  useEffect(() => () => shown.current?.close(), []);
  return { ...found, version };
}

export function Browse({ store, onList, ...bar }) {
  const route = useRoute();
  const columns = store?.columns ?? [];
  const known = store !== null || Object.keys(route.chips).length === 0;
  const { list, error, version } = useItems(known ? { where: condition(route, columns), sort: route.sort, order: route.order } : null);
  useEffect(() => onList(list), [list]);
  const conditions = route.where !== "" || Object.keys(route.chips).length > 0;
  const ofBox = error !== null && error.status === 400 && conditions;
  const words = list === null ? "" : counted(list.total, "picture");
  const empty = error !== null ? (ofBox ? html`<p>There are no pictures to show until the condition is mended.</p>` : html`<p role="alert"><bdi dir="auto">${error.message}</bdi></p>`)
    : list !== null && (conditions ? html`<p>No picture fulfils this condition.</p>` : html`<p>This store has no pictures yet. Bring some in with <code>featurestore index</code>.</p>`);
  return html`<${Toolbar} columns=${columns} error=${ofBox ? error.message : null} words=${words} ...${bar}>${columns.length > 0 && html`<${Sort} columns=${columns} />`}</${Toolbar}>
    <${Pictures} list=${list} version=${version} label="Pictures" empty=${empty} />`;
}
