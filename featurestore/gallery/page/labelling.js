// Labelling: a change is shown at once, saved by one request after the other, and can be taken back.
//
// A change is the label that some items get together. Changes that wait while a request is under way go together in the next one.
import { getItems, postLabels, postUndo } from "./api.js";
import { readSoon } from "./collection.js";
import { shared } from "./shared.js";
import { countAs, current, namesOf, redraw, showLabels, uncount } from "./shown_labels.js";
import { count, counted, plain } from "./text.js";
import { failed, toast } from "./toasts.js";

const MOST = 1000; // items of one request, unless a single change has more
const PAUSES = [500, 1000, 2000, 4000, 8000]; // milliseconds before trying again
const PATIENCE = 30_000; // milliseconds until a request counts as not answered
const ASKED = 200; // items of one question
const UNKNOWN = { labelled_by: null, labelled_at: null, label_source: null }; // not known before the server says it again

const history = []; // the changes of this window that hold: {items (as they were before), name, ids, count, saved, since}
const bases = new Map(); // id -> the item as it was before the first change of it that holds
let tasks = []; // what is still to be sent, in its order: {change, undo}
let sending = null; // those of the request that is under way
const status = shared({ unsaved: 0, trouble: null, any: false, saved: 0 });
const watchers = new Set();

/** {unsaved, trouble, any, saved}: how many labels are not saved, why not, whether there were any, and how many were saved. */
export const useSaving = status.use;

/** Be told {undone: change} and {refused: change}; gives back what ends it. */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

const tell = (news) => watchers.forEach((watcher) => watcher(news));
const number = (some) => some.reduce((sum, task) => sum + task.change.items.length, 0);
const say = (more) => status.set({ ...status.get(), unsaved: number(tasks), ...more });

/** Whether a label of this item is on its way. */
export const isUnsaved = (item) => tasks.some(({ change }) => change.ids.has(item.id));

/** What a change did, in words: 12 labelled as rose. */
export const words = ({ items, name }) => `${count(items.length)} labelled as ${plain(name, 60)}`;

/** The last change of an item that holds. */
const lastOf = (id) => history.findLast((one) => one.ids.has(id));

/** Label items as a person does, from this moment for the eye, and soon on the disk. */
export function label(items, name) {
  const before = items.map(current);
  for (const item of before) if (!lastOf(item.id)) bases.set(item.id, item);
  const change = { items: before, name, ids: new Set(before.map((item) => item.id)), count: countAs(before, name), saved: null, since: Infinity };
  history.push(change);
  tasks.push({ change, undo: false });
  settle(change, Infinity);
  say({ any: true });
  work();
  return change;
}

/** Take back a change, or the last one. Gives it back, or null when there is none. */
export function undo(change = history.at(-1)) {
  if (!history.includes(change)) return null;
  history.splice(history.indexOf(change), 1);
  const task = tasks.find((one) => one.change === change);
  if (task && !sending?.includes(task)) {
    tasks.splice(tasks.indexOf(task), 1); // it was never sent
    uncount(change.count);
    settle(change, performance.now());
  } else {
    change.uncount = countAs(change.items, change.name, -1);
    tasks.push({ change, undo: true });
    settle(change, Infinity);
  }
  say();
  tell({ undone: change });
  work();
  return change;
}

/** Let the items of a change show what the last change that holds made of them, or what they had before all, until the server says it later than `since`. */
function settle(change, since) {
  for (const id of change.ids) {
    const last = lastOf(id);
    const { label: name, labels } = last ? { label: last.name, labels: null } : bases.get(id);
    showLabels(id, { label: name, labels, ...UNKNOWN }, last ? last.since : since);
  }
  redraw();
}

/** The tasks of the next request: one undoing, or labels up to one. */
function next() {
  if (tasks[0].undo || tasks[0].alone) return [tasks[0]];
  const found = [];
  for (const task of tasks) {
    if (task.undo || task.alone || (found.length && number(found) + task.change.items.length > MOST)) break;
    found.push(task);
  }
  return found;
}

/** Whether trying again is of no use: the request itself is wrong. All else may pass: no answer, a busy store, a full disk. */
const isRefused = ({ status: code }) => code >= 400 && code < 500 && code !== 408 && code !== 429;

async function work() {
  if (sending) return;
  let tried = 0;
  while (tasks.length) {
    sending ??= next();
    try {
      await (sending[0].undo ? takeBack(sending[0]) : save(sending));
    } catch (error) {
      if (!isRefused(error)) {
        say({ trouble: error.message });
        await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(tried++, PAUSES.length - 1)]));
        for (const task of sending) task.again = true;
        continue; // with the same ones: the server may have saved them, and only its answer was lost
      }
      await refuse(error);
    }
    sending = null;
    tried = 0;
    say({ trouble: null });
    readSoon();
  }
}

const finish = (some) => (tasks = tasks.filter((task) => !some.includes(task)));

async function save(some) {
  const changes = some.map(({ change }) => change);
  const labels = changes.flatMap((change) => [...change.ids].filter((id) => !change.resent || lastOf(id)?.name === change.name).map((id) => ({ id, label: change.name })));
  const answer = labels.length ? await postLabels(labels, AbortSignal.timeout(PATIENCE)) : { change: null, gone: [] };
  const since = performance.now();
  for (const change of changes) {
    change.saved = { number: answer.change, changes };
    change.since = change.count.since = since;
    settle(change, since);
  }
  finish(some);
  if (answer.gone.length) lose(answer.gone);
  status.set({ ...status.get(), saved: status.get().saved + labels.length });
}

/** Pictures that the store no longer has. */
function lose(ids) {
  for (const id of ids) showLabels(id, { gone: true }, Infinity);
  redraw();
  failed(new Error(`${counted(ids.length, "picture is", "pictures are")} no longer in the store, and could not be labelled.`));
}

/** Undo a change that was saved. Others that were saved by the same request are undone with it, so they are sent again. */
async function takeBack(task) {
  const { number: saved, changes } = task.change.saved;
  if (saved === null) await restore(task.change);
  else await undoSaved(saved, task.again);
  const since = performance.now();
  const together = (change) => saved !== null && change.saved?.changes === changes; // also of those that were undone meanwhile
  const mine = tasks.filter((one) => one === task || (one.undo && together(one.change)));
  const others = changes.filter((change) => together(change) && history.includes(change));
  finish(mine);
  tasks.unshift(...others.map((change) => ({ change, undo: false })));
  for (const change of others) {
    change.since = change.count.since = Infinity;
    change.resent = true; // what later changes made of its items stays
  }
  for (const { change } of mine) change.uncount.since = since;
  [...others, ...mine.map(({ change }) => change)].forEach((change) => settle(change, since));
  await lookAgain(mine.map(({ change }) => change));
}

async function undoSaved(number, again) {
  try {
    await postUndo(number, AbortSignal.timeout(PATIENCE));
  } catch (error) {
    if (!(again && error.status === 404)) throw error; // 404: the request before undid it, and only its answer was lost
  }
}

/** Give items what they had without a change that has no number: the server had saved it already when it was sent again. */
function restore(change) {
  const last = (id) => history.findLast((one) => one.saved !== null && one.ids.has(id));
  const without = (id) => (last(id) ? [last(id).name] : namesOf(bases.get(id)));
  return postLabels([...change.ids].map((id) => ({ id, labels: without(id) })), AbortSignal.timeout(PATIENCE));
}

/** Ask what labels items have now: that is not always what the changes of this window alone would make of them. */
async function lookAgain(changes) {
  const ids = [...new Set(changes.flatMap((change) => [...change.ids]))];
  try {
    for (let first = 0; first < ids.length; first += ASKED) {
      const found = await getItems({ ids: ids.slice(first, first + ASKED).join(",") });
      for (const item of found.items) if (!isUnsaved(item)) showLabels(item.id, item, found.asked);
    }
    redraw();
  } catch {
    // what is shown stays as it is until the items are asked for again
  }
}

/** The server will not take it. Of several changes each is sent by itself, so that only the wrong one comes back. */
async function refuse(error) {
  if (sending.length > 1) {
    for (const task of sending) task.alone = true;
    return;
  }
  const [{ change, undo: undoing }] = sending;
  tasks = tasks.filter((task) => task.change !== change);
  const gone = error.status === 404 && !undoing;
  if (history.includes(change)) history.splice(history.indexOf(change), 1);
  if (!undoing) uncount(change.count);
  if (change.uncount) uncount(change.uncount);
  settle(change, performance.now());
  if (gone) {
    lose([...change.ids]);
    return;
  }
  failed(new Error(`${undoing ? "Not undone" : "Not saved"}: ${words(change)}. ${error.message}`));
  if (!undoing) tell({ refused: change });
  await lookAgain([change]);
}

/** The same, said in a message with a button that takes it back. */
export function labelAndSay(items, name) {
  const change = label(items, name);
  toast(words(change), { action: { name: "Undo", run: () => undo(change) } });
}

export function undoAndSay() {
  const change = undo();
  toast(change === null ? "Nothing is left to undo in this window." : `Undone: ${words(change)}`);
}

export const UNDO = { keys: ["z"], does: "Undo the last label", group: "Everywhere", run: undoAndSay };

export const isSaving = () => tasks.length > 0;

addEventListener("beforeunload", (event) => tasks.length > 0 && event.preventDefault());
