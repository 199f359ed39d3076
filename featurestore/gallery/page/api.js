// The requests to /api/v1. An answer that is an error becomes an ApiError with the server's own sentence.

const ROOT = "api/v1";

export class ApiError extends Error {
  constructor(message, status, type) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(`${ROOT}/${path}`, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is it still running?", 0, "Offline");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
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
export const search = (values, signal) => post("search", JSON.stringify(values), "application/json", signal);
export const upload = (file) => post("uploads", file, file.type.startsWith("image/") ? file.type : "image/unknown");

export const imageOf = (id) => `${ROOT}/items/${id}/image`;

/** Why a picture cannot be shown, in the server's words. */
export async function whyNot(id) {
  const response = await fetch(imageOf(id)).catch(() => null);
  if (response === null) return "The server does not answer. Is it still running?";
  const body = response.ok ? null : await response.json().catch(() => null);
  return body?.error?.message ?? "The browser cannot show this picture.";
}

const SIDES = [64, 128, 256, 512];

/** The address of a thumbnail that is sharp at `pixels` of the page. It changes with the content, so that it may be kept for ever. */
export function thumbOf(item, pixels) {
  const needed = pixels * devicePixelRatio * 0.9;
  const side = SIDES.find((one) => one >= needed) ?? SIDES.at(-1);
  return `${ROOT}/thumbs/${item.id}/${side}${item.sha256 ? `?h=${item.sha256.slice(0, 16)}` : ""}`;
}
