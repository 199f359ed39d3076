"use strict";
// What the page does by script: it enlarges pictures, and shows the item of the map that is nearest to the pointer.

// A picture that is pressed is shown large, with its label and name; the arrows lead to those before and after it.
const enlarged = document.querySelector(".enlarged");
const large = new Image();
const zooms = [...document.querySelectorAll(".zoom")];
let open = 0;

function enlarge(place) {
  open = (place + zooms.length) % zooms.length;
  const picture = zooms[open].querySelector("img");
  large.src = picture.src;
  large.alt = picture.alt;
  large.className = picture.className;
  enlarged.prepend(large);
  enlarged.querySelector("p").textContent = picture.alt;
}

for (const [place, zoom] of zooms.entries()) {
  zoom.disabled = false;
  zoom.addEventListener("click", () => {
    enlarge(place);
    enlarged.showModal();
  });
}
enlarged.addEventListener("click", (event) => {
  const step = Number(event.target.dataset.step ?? 0); // a press beside the buttons closes, as that on the middle one
  if (step) enlarge(open + step);
  else enlarged.close();
});
enlarged.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) enlarge(open + step);
});
enlarged.addEventListener("close", () => zooms[open].focus()); // also scrolls to the picture seen last

// On a map: the picture, label and name of the item nearest to the pointer.
for (const map of document.querySelectorAll(".map")) {
  const plane = map.querySelector("svg");
  const tip = map.querySelector(".tip");
  const sheet = tip.querySelector("img");
  const words = tip.querySelector("p");
  const columns = Number(sheet.dataset.columns);
  const reach = 24; // pixels from the pointer to an item, at most
  const points = [...plane.querySelectorAll(".point")].map((mark, place) => {
    const title = mark.querySelector("title");
    const words = title.textContent;
    title.remove(); // otherwise the browser would show it too
    return { mark, place, words, x: Number(mark.dataset.x), y: Number(mark.dataset.y) };
  });
  let shown = null;

  function hide() {
    shown?.mark.classList.remove("shown");
    shown = null;
    tip.hidden = true;
  }

  function nearest(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plane.getScreenCTM().inverse());
    const scale = plane.getBoundingClientRect().width / plane.viewBox.baseVal.width;
    const dimmed = map.dataset.chosen;
    let best = null;
    let least = reach / scale;
    for (const point of points) {
      const away = Math.hypot(point.x - at.x, point.y - at.y);
      if (away < least && (!dimmed || point.mark.dataset.label === dimmed)) {
        [best, least] = [point, away];
      }
    }
    return best;
  }

  function show(event) {
    const point = nearest(event);
    if (point === null) {
      hide();
      return;
    }
    if (point !== shown) {
      shown?.mark.classList.remove("shown");
      point.mark.classList.add("shown");
      shown = point;
      sheet.style.left = `${-(point.place % columns) * 100}%`;
      sheet.style.top = `${-Math.floor(point.place / columns) * 100}%`;
      words.textContent = point.words;
    }
    tip.hidden = false;
    const frame = map.getBoundingClientRect();
    const x = event.clientX - frame.left;
    const y = event.clientY - frame.top;
    const left = x + 18 + tip.offsetWidth > frame.width ? x - 18 - tip.offsetWidth : x + 18;
    tip.style.left = `${Math.min(Math.max(0, left), frame.width - tip.offsetWidth)}px`;
    tip.style.top = `${Math.max(0, y - tip.offsetHeight / 2)}px`;
  }

  plane.addEventListener("pointermove", show);
  plane.addEventListener("pointerdown", show);
  plane.addEventListener("pointerleave", hide);

  // Pressing a label of the legend dims the items of all other labels.
  for (const button of map.querySelectorAll("button")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const chosen = map.dataset.chosen === button.dataset.label ? "" : button.dataset.label;
      map.dataset.chosen = chosen;
      for (const other of map.querySelectorAll("button")) {
        other.setAttribute("aria-pressed", String(other.dataset.label === chosen));
      }
      for (const { mark } of points) {
        mark.classList.toggle("dimmed", chosen !== "" && mark.dataset.label !== chosen);
      }
    });
  }
}
