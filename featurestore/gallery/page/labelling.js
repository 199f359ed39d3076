// Labelling: a change is shown at once, saved by one request after the other, and can be taken back.
//
// A change is the label that some items get together. The server knows it by the name of its request: sent again, after an answer that
// was lost, it is the same change.
import { getItems, postLabels, postUndo } from "./api.js";
import { readSoon } from "./collection.js";
import { shared } from "./shared.js";
import { countAs, current, redraw, showLabels, uncount } from "./shown_labels.js";
import { count, counted, plain } from "./text.js";
import { failed, toast } from "./toasts.js";

const PAUSES = [500, 1000, 2000, 4000, 8000]; // milliseconds before trying again
const PATIENCE = 30_000; // milliseconds until a request counts as not answered
const ASKED = 200; // items of one question
const UNKNOWN = { labelled_by: null, labelled_at: null, label_source: null }; // not known before the server says it again

const history = []; // the changes of this window that hold: {request, items (as they were before), name, ids, count, number, since}
const bases = new Map(); // id -> the item as it was before the first change of it that holds
let tasks = []; // what is still to be sent, in its order: {change, undo}
let sending = null; // the task of the request that is under way
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
const say = (more) => status.set({ ...status.get(), unsaved: tasks.reduce((sum, { change }) => sum + change.ids.size, 0), ...more });
const newName = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

/** Whether a label of this item is on its way. */
export const isUnsaved = (item) => tasks.some(({ change }) => change.ids.has(item.id));

/** What a change did, in words: 12 labelled as rose. */
const words = ({ items, name }) => `${count(items.length)} labelled as ${plain(name, 60)}`;

/** The last change of an item that holds. */
const lastOf = (id) => history.findLast((one) => one.ids.has(id));

/** Label items as a person does, from this moment for the eye, and soon on the disk. */
export function label(items, name) {
  const before = items.map(current);
  for (const item of before) if (!lastOf(item.id)) bases.set(item.id, item);
  const change = { request: newName(), items: before, name, ids: new Set(before.map((item) => item.id)), count: countAs(before, name), number: null, since: Infinity };
  history.push(change);
  tasks.push({ change, undo: false });
  settle(change, Infinity);
  say({ any: true });
  work();
  return change;
}

/** Take back a change, or the last one. Gives it back, or null when there is none. */
function undo(change = history.at(-1)) {
  if (!history.includes(change)) return null;
  history.splice(history.indexOf(change), 1);
  const task = tasks.find((one) => one.change === change);
  if (task && task !== sending) {
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

/** Whether trying again is of no use: the request itself is wrong. All else may pass: no answer, a busy store, a full disk. */
const isRefused = ({ status: code }) => code >= 400 && code < 500 && code !== 408 && code !== 429;

async function work() {
  if (sending) return;
  let tried = 0;
  while (tasks.length) {
    sending = tasks[0];
    try {
      await (sending.undo ? takeBack(sending.change) : save(sending.change));
      tasks.shift();
    } catch (error) {
      if (!isRefused(error)) {
        say({ trouble: error.message });
        await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(tried++, PAUSES.length - 1)]));
        continue;
      }
      await refuse(sending, error);
    }
    tried = 0;
    say({ trouble: null });
    readSoon();
  }
  sending = null;
}

async function save(change) {
  const labels = [...change.ids].map((id) => ({ id, label: change.name }));
  const answer = await postLabels(labels, change.request, AbortSignal.timeout(PATIENCE));
  change.number = answer.change;
  change.since = change.count.since = performance.now();
  settle(change, change.since);
  if (answer.gone.length) lose(answer.gone);
  status.set({ ...status.get(), saved: status.get().saved + labels.length });
}

/** Pictures that the store no longer has. */
function lose(ids) {
  for (const id of ids) showLabels(id, { gone: true }, Infinity);
  redraw();
  failed(new Error(`${counted(ids.length, "picture is", "pictures are")} no longer in the store, and could not be labelled.`));
}

/** Undo a change that was saved. Without a number it changed nothing: all had the label already. */
async function takeBack(change) {
  if (change.number !== null) await postUndo(change.number, AbortSignal.timeout(PATIENCE)).catch(unlessUndone);
  change.uncount.since = performance.now();
  settle(change, change.uncount.since);
  await lookAgain(change);
}

/** The server does not know the change: it was undone before, and only the answer was lost, or another window was faster. */
function unlessUndone(error) {
  if (error.status !== 404) throw error;
}

/** Ask what labels items have now: that is not always what the changes of this window alone would make of them. */
async function lookAgain(change) {
  const ids = [...change.ids];
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

/** The server will not take it: the pictures come back. */
async function refuse({ change, undo: undoing }, error) {
  tasks = tasks.filter((task) => task.change !== change);
  if (history.includes(change)) history.splice(history.indexOf(change), 1);
  for (const made of [undoing ? null : change.count, change.uncount]) if (made) uncount(made);
  settle(change, performance.now());
  if (error.status === 404) return lose([...change.ids]);
  failed(new Error(`${undoing ? "Not undone" : "Not saved"}: ${words(change)}. ${error.message}`));
  if (!undoing) tell({ refused: change });
  return lookAgain(change);
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
