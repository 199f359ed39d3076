// The requests to /api/v1. An answer that is an error becomes an ApiError with the server's own sentence.

const ROOT = "api/v1";
const JSON_TYPE = "application/json";

export class ApiError extends Error {
  constructor(message, status, type) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

/** An answer and its items with the time of asking, so that an older one can be told from what this page has changed since. */
function stamped(body, asked) {
  const items = [body.items, body.hits].find(Array.isArray) ?? [];
  for (const one of [body, ...items]) one.asked = asked;
  return body;
}

async function ask(path, options = {}) {
  const asked = performance.now();
  let response;
  try {
    response = await fetch(`${ROOT}/${path}`, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is it still running?", 0, "Offline");
  }
  const body = await response.json().catch(() => null);
  options.signal?.throwIfAborted(); // an answer that is given up half way is no error of the server
  if (response.ok && body !== null) return stamped(body, asked);
  const message = body?.error?.message ?? `The server answered ${response.status} ${response.statusText}`.trim();
  throw new ApiError(message, response.status, body?.error?.type ?? "Error");
}

const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== ""));

const post = (path, body, type, signal) => ask(path, { method: "POST", body, headers: { "Content-Type": type }, signal });

export const getStore = (signal) => ask("store", { signal });
export const getItems = (values, signal) => ask(`items?${query(values)}`, { signal });
export const getItem = (id, signal) => ask(`items/${id}`, { signal });
export const getValues = (column, where, signal) => ask(`columns/${encodeURIComponent(column)}/values?${query({ where })}`, { signal });
export const postLabels = (labels, request, signal) => post("labels", JSON.stringify({ labels, request }), JSON_TYPE, signal);
export const postUndo = (change, signal) => post("labels/undo", JSON.stringify({ change }), JSON_TYPE, signal);
export const suggest = (values, signal) => post("suggest", JSON.stringify(values), JSON_TYPE, signal);
export const getPredictions = (values, signal) => ask(`predictions?${query(values)}`, { signal });
export const getLearning = (signal) => ask("learning", { signal });
export const getSettings = (signal) => ask("settings", { signal });
export const putSettings = (settings) => ask("settings", { method: "PUT", body: JSON.stringify(settings), headers: { "Content-Type": JSON_TYPE } });
export const search = (values, signal) => post("search", JSON.stringify(values), JSON_TYPE, signal);
export const upload = (file) => post("uploads", file, file.type.startsWith("image/") ? file.type : "image/unknown");

const mark = (item) => (item.sha256 ? `?h=${item.sha256.slice(0, 16)}` : ""); // changes with the content, so that answers may be kept

export const imageOf = (item) => `${ROOT}/items/${item.id}/image${mark(item)}`;

const GREY = 8; // pixels of the tile that the server gives where there is no picture

/** Why there is no picture, in the server's words; null when what was loaded is the picture. */
export async function whyNot(picture) {
  const loaded = picture.complete && picture.naturalWidth > 0;
  if (loaded && (picture.naturalWidth !== GREY || picture.naturalHeight !== GREY)) return null;
  const response = await fetch(picture.src).catch(() => null);
  if (response === null) return "The server does not answer. Is it still running?";
  if (response.ok) return response.headers.get("X-Failure") ?? (loaded ? null : "The browser cannot show this picture.");
  const body = await response.json().catch(() => null);
  return body?.error?.message ?? `The server answered ${response.status}.`;
}

const SIDES = [64, 128, 256, 512];

/** The address of a thumbnail that is sharp at `pixels` of the page. */
export function thumbOf(item, pixels) {
  const needed = pixels * devicePixelRatio * 0.9;
  const side = SIDES.find((one) => one >= needed) ?? SIDES.at(-1);
  return `${ROOT}/thumbs/${item.id}/${side}${mark(item)}`;
}
