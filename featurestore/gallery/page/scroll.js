// The arithmetic of scrolling far: from a place of the scroll bar to a place in the collection, and back.
//
// Browsers cap the height of what scrolls (16,777,216 device pixels in Chromium), so a tall collection lies in a lower sheet.
// A short move is taken as it is, so that the wheel moves as far as anywhere; a long one, by dragging the bar, is taken in proportion.

export const TALLEST = 8_000_000; // 16,000,000 device pixels at a ratio of 2

export class Scroll {
  constructor() {
    this.full = 0; // height of the collection in pixels
    this.seen = 0; // height of the window
    this.bar = 0; // scrollTop
    this.top = 0; // first pixel of the collection that is seen
  }

  get sheet() {
    return Math.min(this.full, TALLEST);
  }

  get farthest() {
    return Math.max(0, this.full - this.seen);
  }

  get end() {
    return Math.max(0, this.sheet - this.seen);
  }

  /** Go to a place in the collection; returns the scrollTop that shows it. */
  to(top) {
    this.top = Math.min(Math.max(0, Math.round(top)), this.farthest);
    this.bar = this.settled();
    return this.bar;
  }

  /** The scrollTop that stands for the place. */
  settled() {
    return this.farthest === 0 ? 0 : Math.round((this.top / this.farthest) * this.end);
  }

  /** The browser moved the bar to `bar`. Returns whether scrollTop must be set to `this.bar` for there to be room to go on. */
  moved(bar) {
    const step = bar - this.bar;
    if (step === 0) return false;
    const far = Math.abs(step) > 2 * this.seen;
    const top = far && this.end > 0 ? Math.round((bar / this.end) * this.farthest) : this.top + step;
    this.top = Math.min(Math.max(0, top), this.farthest);
    this.bar = bar;
    if (bar <= 0 && this.settled() === 0) this.top = 0; // a pixel of the bar stands for several, and the last ones count, too
    if (bar >= this.end && this.settled() === this.end) this.top = this.farthest;
    const atEdge = (bar <= 0 && this.top > 0) || (bar >= this.end && this.top < this.farthest);
    if (atEdge) this.bar = this.settled();
    return atEdge;
  }
}
