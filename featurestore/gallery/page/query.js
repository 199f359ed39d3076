// The examples of a search: items and uploaded pictures, each wanted or not.
import { upload } from "./api.js";
import { go, nameOf, route, show } from "./state.js";
import { failed } from "./toasts.js";

const MOST = 32;
const previews = new Map(); // token of an upload -> address of the picture within this page

export const previewOf = (token) => previews.get(token);

const same = (a) => (b) => nameOf(a) === nameOf(b);

/** Search with these examples, added to those of a search that is already shown. */
function search(examples, added) {
  const before = added ? route().query : [];
  const query = [...before.filter((old) => !examples.some(same(old))), ...examples].slice(-MOST);
  show({ view: "search", query });
}

/** More like these items: a new search. A negative example joins the search that is shown. */
export function findLike(items, negative = false) {
  search(items.map((item) => ({ id: item.id, negative })), negative);
}

export const addExample = (item, negative) => search([{ id: item.id, negative }], true);

export async function findPictures(files, { added = route().view === "search" } = {}) {
  const pictures = [...files].filter((file) => file.type.startsWith("image/") || file.type === "");
  if (pictures.length === 0) return failed(new Error("These are no pictures. Drop or paste JPEG, PNG, WebP or another picture file."));
  try {
    const found = [];
    for (const file of pictures.slice(0, MOST)) {
      const answer = await upload(file);
      previews.set(answer.upload, URL.createObjectURL(file));
      found.push({ upload: answer.upload, negative: false });
    }
    search(found, added);
  } catch (error) {
    failed(error);
  }
}

export const turn = (example) => go({ query: route().query.map((one) => (same(example)(one) ? { ...one, negative: !one.negative } : one)) });
export const leaveOut = (example) => go({ query: route().query.filter((one) => !same(example)(one)) });

/** The body of POST /search. */
export function body(now, where) {
  const of = (negative, key) => now.query.filter((one) => one.negative === negative && one[key] !== undefined).map((one) => one[key]);
  return {
    items: of(false, "id"),
    not_items: of(true, "id"),
    images: of(false, "upload"),
    not_images: of(true, "upload"),
    k: now.k,
    where: where || null,
    above: now.above,
    unique: now.unique,
  };
}
