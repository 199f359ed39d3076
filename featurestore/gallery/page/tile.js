// One picture of the grid with its caption. Tiles are used again for other items, so filling one must be quick.
import { thumbOf, whyNot } from "./api.js";
import { current } from "./shown_labels.js";
import { label, plain, score, spoken } from "./text.js";

const CAPTION = 200; // letters; more is never seen
const LEAST = 12; // pixels of a very wide or very tall picture

function element(name, className, parent) {
  const made = document.createElement(name);
  if (className) made.className = className;
  parent?.append(made);
  return made;
}

export class Tile {
  constructor() {
    this.node = element("div", "tile");
    this.node.role = "option";
    this.holder = element("div", "holder", this.node);
    this.frame = element("div", "frame", this.holder);
    this.picture = null;
    this.reason = element("bdi", "reason", this.frame);
    this.reason.dir = "auto";
    element("span", "pick", this.frame);
    this.caption = element("div", "caption", this.node);
    this.words = element("bdi", "words", this.caption);
    this.words.dir = "auto";
    this.figure = element("span", "figure", this.caption);
    this.place = null;
    this.item = null;
    this.why = ""; // there is no picture
  }

  /** Stand for a place of the list. The item may come later. */
  stand(place, size) {
    this.place = place;
    this.node.id = `tile-${place}`;
    this.node.dataset.place = place;
    this.node.ariaPosInSet = place + 1;
    this.node.ariaSetSize = size;
    this.empty();
  }

  empty() {
    this.item = null;
    this.drop();
    this.words.textContent = "";
    this.figure.textContent = "";
    this.words.removeAttribute("title");
    this.node.ariaLabel = "Loading";
    this.frame.style.width = this.frame.style.height = "100%";
    this.node.classList.add("waiting");
  }

  /** Give up a picture that is still on its way, so that those in sight come first. */
  drop() {
    if (this.picture === null) return;
    this.picture.onload = this.picture.onerror = null;
    this.picture.removeAttribute("src");
    this.picture.remove();
    this.picture = null;
  }

  fill(item, wide, tall) {
    this.drop();
    this.item = item;
    this.node.classList.remove("waiting", "failed");
    this.reason.textContent = "";
    if (item.gone) return this.gone();
    const [width, height] = [item.width || 1, item.height || 1];
    const scale = Math.min(wide / width, tall / height);
    this.frame.style.width = `${Math.max(LEAST, Math.round(width * scale))}px`;
    this.frame.style.height = `${Math.max(LEAST, Math.round(height * scale))}px`;
    const picture = (this.picture = element("img", Math.max(width, height) < 64 ? "tiny" : ""));
    picture.alt = "";
    picture.decoding = "async";
    picture.draggable = false;
    picture.onload = picture.onerror = () => this.check(picture, item);
    picture.src = thumbOf(item, Math.max(width, height) * scale);
    this.frame.prepend(picture);
    this.words.title = plain(item.path ?? item.name, 1000);
    this.figure.textContent = item.score === undefined ? "" : score(item.score);
    this.why = "";
    this.relabel();
  }

  /** Show the label that the item has now. */
  relabel() {
    if (this.item === null || this.item.gone) return;
    const item = current(this.item);
    if (item.gone) return this.gone();
    const named = label(item, CAPTION);
    this.words.textContent = named || plain(item.name, CAPTION);
    this.words.classList.toggle("unlabelled", named === "");
    this.node.ariaLabel = spoken(item) + this.why;
  }

  /** Say in place of a picture why there is none. */
  async check(picture, item) {
    const reason = await whyNot(picture);
    if (reason === null || this.item !== item) return;
    this.node.classList.add("failed");
    this.reason.textContent = plain(reason, CAPTION);
    this.reason.title = plain(reason, 1000);
    this.why = `, no picture: ${plain(reason, CAPTION)}`;
    this.relabel();
  }

  /** The store no longer has the item; its place in the list stays. */
  gone() {
    this.frame.style.width = this.frame.style.height = "100%";
    this.node.classList.add("failed");
    this.words.textContent = this.node.ariaLabel = "Deleted";
    this.figure.textContent = "";
  }
}
