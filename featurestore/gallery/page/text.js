// Texts of strangers (names, labels, values) and numbers as a person reads them.

const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;
const JOINERS = "\u200c\u200d"; // they belong to words of many scripts, and to pictograms
const PILED = /(\p{M}{8})\p{M}+/gu;
const integers = new Intl.NumberFormat("en");
const scores = new Intl.NumberFormat("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const decimals = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });

function code(letter, place, whole) {
  const before = whole[place - 1];
  if (JOINERS.includes(letter) && before !== undefined && before > "\x7f" && !JOINERS.includes(before)) return letter;
  const point = letter.codePointAt(0);
  if (point < 0x80) return `\\x${point.toString(16).padStart(2, "0")}`;
  return point < 0x10000 ? `\\u${point.toString(16).padStart(4, "0")}` : `\\U${point.toString(16).padStart(8, "0")}`;
}

/** Text with everything spelled out that hides, reorders or breaks lines; at most `most` letters of it. */
export function plain(value, most = 20000) {
  const text = String(value);
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return cut.replace(UNSEEN, code).replace(PILED, "$1…");
}

export const count = (number) => integers.format(number);

export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export const score = (number) => scores.format(number);

/** A value of a column as text: numbers short, times without the letter T, lists with commas. */
export function value(found, most) {
  if (found === null || found === undefined) return "";
  if (typeof found === "number") return Number.isInteger(found) ? String(found) : decimals.format(found);
  if (typeof found === "boolean") return found ? "yes" : "no";
  if (Array.isArray(found)) return found.map((one) => value(one, most)).join(", ");
  if (typeof found === "object") return plain(JSON.stringify(found), most);
  return plain(found, most);
}

export const time = (stamp) => plain(String(stamp).replace("T", " ").replace(/\.\d+/, ""));

/** The label of an item as text; empty when it has none. */
export function label(item, most) {
  const labels = item.labels?.length ? item.labels : item.label === null || item.label === undefined ? [] : [item.label];
  return labels.map((one) => (one === "" ? "(empty)" : plain(one, most))).join(", ");
}

/** What a screen reader says of an item. */
export function spoken(item) {
  const parts = [label(item, 80) || "no label", plain(item.name, 80)];
  if (item.score !== undefined) parts.push(`score ${score(item.score)}`);
  return parts.join(", ");
}
