// The grid: as many tiles as are in sight, placed by arithmetic over a collection of any size.
import { Scroll } from "./scroll.js";
import { Tile } from "./tile.js";

export const SIZES = { small: 84, medium: 148, large: 232 };
const MOST_TILES = 300;
const CAPTION = 28; // pixels
const SHAPE = 0.86; // height of a picture's place as a part of its width: most pictures are wider than high
const BUDGET = 6; // milliseconds of filling tiles within one frame
const NEAR = 5000; // rows between the first tile in the sheet and the row that its layer starts at
const REST = 140; // milliseconds without a move

/** Columns, and the sizes of a tile in pixels, so that no more than MOST_TILES are needed. */
export function layout(width, height, wanted, gap) {
  for (let side = wanted; ; side += 8) {
    const columns = Math.max(1, Math.floor((width + gap) / (side + gap)), width < 520 && wanted < SIZES.large ? 3 : 1);
    const wide = Math.floor((width - gap * (columns - 1)) / columns);
    const caption = wide < 100 ? 0 : CAPTION;
    const tall = Math.round(wide * SHAPE);
    const row = tall + caption + gap;
    const rows = Math.ceil(height / row) + 1;
    if (columns * rows <= MOST_TILES) return { columns, wide, tall, row, caption, rows, gap, spare: columns * (rows + 2) <= MOST_TILES ? 1 : 0 };
  }
}

export class Grid {
  /** `scroller` scrolls; `on` has open(place, item), chosen(item), choosing(), choose(place, item, from), rest(place). */
  constructor(scroller, on) {
    this.scroller = scroller;
    this.on = on;
    this.sheet = document.createElement("div");
    this.sheet.className = "sheet";
    this.sheet.role = "presentation";
    this.layer = document.createElement("div");
    this.layer.className = "layer";
    this.layer.role = "presentation";
    this.sheet.append(this.layer);
    scroller.append(this.sheet);
    this.scroll = new Scroll();
    this.list = null;
    this.active = 0;
    this.tiles = new Map(); // place -> Tile
    this.unused = [];
    this.base = 0;
    this.frame = 0;
    this.size = "medium";
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(scroller);
    scroller.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.touched = false; // without a mouse a long press chooses, and then a short one does
    scroller.addEventListener("pointerdown", (event) => (this.touched = event.pointerType === "touch"), { passive: true });
    scroller.addEventListener("contextmenu", (event) => this.onLongPress(event));
    scroller.addEventListener("click", (event) => this.onClick(event));
  }

  destroy() {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.resting);
    this.sheet.remove();
  }

  /** Show a list, with the row of place `first` at the top, and one place active. */
  show(list, first = 0, active = first) {
    this.list = list;
    this.clear();
    this.scroll.top = 0;
    this.measure();
    if (this.plan && first > 0) this.place(Math.floor(first / this.plan.columns) * this.plan.row);
    this.reveal(active);
  }

  clear() {
    for (const place of this.tiles.keys()) this.remove(place);
  }

  remove(place) {
    const tile = this.tiles.get(place);
    tile.drop();
    tile.node.remove();
    this.tiles.delete(place);
    this.unused.push(tile);
  }

  resize(size) {
    this.size = size;
    this.measure();
  }

  /** Lay out anew, with the same item at the top. */
  measure() {
    const width = this.layer.clientWidth;
    const height = this.scroller.clientHeight;
    if (width === 0 || height === 0 || this.list === null) return;
    const before = this.plan;
    const first = before ? Math.floor(this.scroll.top / before.row) * before.columns : 0;
    const offset = before ? this.scroll.top % before.row : 0;
    const gap = width < 520 ? 6 : 16;
    this.plan = layout(width, height, SIZES[this.size], gap);
    const same = before && before.columns === this.plan.columns && before.wide === this.plan.wide;
    if (!same) this.clear();
    this.sheet.classList.toggle("bare", this.plan.caption === 0);
    const rows = Math.ceil((this.list.total ?? 0) / this.plan.columns);
    this.scroll.full = rows * this.plan.row;
    this.scroll.seen = height;
    this.sheet.style.height = `${Math.max(this.scroll.sheet, 0)}px`;
    this.place(same ? this.scroll.top : Math.floor(first / this.plan.columns) * this.plan.row + (before ? offset : 0));
  }

  /** Set the place in the collection, and the bar with it. */
  place(top) {
    const bar = this.scroll.to(top);
    if (this.scroller.scrollTop !== bar) this.scroller.scrollTop = bar;
    this.scroll.bar = this.scroller.scrollTop;
    this.draw();
  }

  onScroll() {
    if (!this.plan) return;
    if (this.scroll.moved(this.scroller.scrollTop)) this.setBar();
    this.later();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.rest(), REST);
  }

  setBar() {
    this.scroller.scrollTop = this.scroll.bar;
    this.scroll.bar = this.scroller.scrollTop;
  }

  /** After a rest the bar stands where the place is in proportion, so that both ends are reached together. */
  rest() {
    if (this.scroll.settled() !== this.scroll.bar) {
      this.scroll.bar = this.scroll.settled();
      this.setBar();
    }
    this.draw();
    this.on.rest(Math.ceil(this.scroll.top / this.plan.row) * this.plan.columns);
  }

  later() {
    if (this.frame === 0) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (!this.plan || this.list === null) return;
    const { columns, row, rows, spare } = this.plan;
    const top = Math.floor(this.scroll.top / row);
    const first = Math.max(0, top - spare) * columns;
    const last = Math.min(this.list.total ?? 0, (top + rows + spare) * columns) - 1;
    if (Math.abs(top - this.base) > NEAR) {
      this.base = top;
      this.clear();
    }
    this.layer.style.top = `${this.base * row + this.scroll.bar - this.scroll.top}px`;
    for (const place of this.tiles.keys()) if (place < first || place > last) this.remove(place);
    const until = performance.now() + BUDGET;
    let whole = true;
    for (let place = first; place <= last; place++) {
      const there = this.tiles.get(place);
      const item = this.list.get(place);
      if (there && there.item !== null && there.item === item) continue;
      if (performance.now() > until) {
        whole = false;
        break;
      }
      this.put(place, there ?? this.stand(place), item);
    }
    if (!whole) this.later();
    if (last >= first) this.list.want(first, last);
  }

  stand(place) {
    const tile = this.unused.pop() ?? new Tile();
    const { columns, wide, tall, row, gap } = this.plan;
    tile.stand(place, this.list.total);
    const { style } = tile.node;
    style.left = `${(place % columns) * (wide + gap)}px`;
    style.top = `${(Math.floor(place / columns) - this.base) * row + gap / 2}px`;
    style.width = `${wide}px`;
    tile.holder.style.height = `${tall}px`;
    this.tiles.set(place, tile);
    const after = this.tiles.get(place + 1);
    this.layer.insertBefore(tile.node, after ? after.node : null);
    return tile;
  }

  put(place, tile, item) {
    if (item !== undefined && tile.item !== item) tile.fill(item, this.plan.wide, this.plan.tall);
    this.mark(place, tile);
  }

  mark(place, tile) {
    tile.node.classList.toggle("active", place === this.active);
    const chosen = tile.item !== null && this.on.chosen(tile.item);
    tile.node.ariaSelected = String(chosen);
    tile.node.classList.toggle("chosen", chosen);
    if (place === this.active) this.scroller.setAttribute("aria-activedescendant", tile.node.id);
  }

  /** Show anew which tiles are active and chosen. */
  remark() {
    for (const [place, tile] of this.tiles) this.mark(place, tile);
    if (!this.tiles.has(this.active)) this.scroller.removeAttribute("aria-activedescendant");
  }

  /** Show anew which labels the items have. */
  relabel() {
    for (const tile of this.tiles.values()) tile.relabel();
  }

  /** Items have come, or there are more or fewer of them. */
  changed() {
    const rows = this.plan ? Math.ceil((this.list.total ?? 0) / this.plan.columns) : 0;
    if (!this.plan || rows * this.plan.row !== this.scroll.full) this.measure();
    else this.later();
  }

  /** The place and the item that an event is on, when the item has come and is still there. */
  at(event) {
    const node = event.target.closest(".tile");
    const place = node ? Number(node.dataset.place) : null;
    const item = node ? this.list.get(place) : undefined;
    return item === undefined || item.gone ? null : { place, item };
  }

  onLongPress(event) {
    const found = this.touched ? this.at(event) : null;
    if (found === null) return;
    event.preventDefault();
    this.setActive(found.place);
    this.on.choose(found.place, found.item, found.place);
  }

  onClick(event) {
    const found = this.at(event);
    if (found === null) return;
    const { place, item } = found;
    const before = this.active;
    this.setActive(place);
    const chooses = event.target.closest(".pick") || event.ctrlKey || event.metaKey || event.shiftKey || (this.touched && this.on.choosing());
    if (chooses) this.on.choose(place, item, event.shiftKey ? before : place);
    else this.on.open(place, item);
  }

  setActive(place) {
    this.active = Math.min(Math.max(0, place), Math.max(0, (this.list?.total ?? 0) - 1));
    this.remark();
  }

  /** Make a place active and bring it into sight. */
  reveal(place) {
    this.setActive(place);
    if (!this.plan) return;
    const { columns, row } = this.plan;
    const top = Math.floor(this.active / columns) * row;
    const { seen } = this.scroll;
    if (top < this.scroll.top) this.place(top);
    else if (top + row > this.scroll.top + seen) this.place(top + row - seen);
    else this.draw();
    this.remark();
  }

  /** Move by arrows, pages and ends. Returns whether the key was one of these. */
  move(key) {
    if (!this.plan || !this.list?.total) return false;
    const { columns, row } = this.plan;
    const page = Math.max(1, Math.floor(this.scroll.seen / row)) * columns;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page, PageDown: page };
    if (key === "Home") this.reveal(0);
    else if (key === "End") this.reveal(this.list.total - 1);
    else if (key in steps) {
      const place = this.active + steps[key];
      const inside = place >= 0 && place < this.list.total;
      if (inside) this.reveal(place);
      else if (Math.abs(steps[key]) > columns) this.reveal(place < 0 ? 0 : this.list.total - 1);
      else if (key === "ArrowDown" && Math.floor(this.active / columns) < Math.floor((this.list.total - 1) / columns)) this.reveal(this.list.total - 1);
    } else return false;
    return true;
  }
}
