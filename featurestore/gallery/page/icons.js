// Small drawings of lines, in the colour of the text beside them. They are ornaments: the names stand in the buttons.
import { html } from "./html.js";

const PATHS = {
  close: "M5 5 15 15 M15 5 5 15",
  left: "M12 4 6 10 12 16",
  right: "M8 4 14 10 8 16",
  up: "M10 16V4 M5 9 10 4 15 9",
  down: "M10 4V16 M5 11 10 16 15 11",
  filter: "M3 5H17 M6 10H14 M8.5 15H11.5",
  plus: "M10 4V16 M4 10H16",
  minus: "M4 10H16",
  swap: "M4 7H15 M12 4 15 7 12 10 M16 13H5 M8 10 5 13 8 16",
  picture: "M3 4H17V16H3Z M3 13 7.5 9 12 13.5 14 11.5 17 14.5 M12.8 7.6A.9.9 0 1 0 12.8 7.5Z",
  search: "M9 3.5A5.5 5.5 0 1 1 8.9 3.5Z M13 13 17 17",
};

export const Icon = ({ name }) => html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
