// From chips and the box to one SQL condition. The server parses it; here it only has to be quoted rightly.

const NUMBER = /^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|U\w+INT|UINTEGER|FLOAT|DOUBLE|DECIMAL.*)$/;

export const isNumber = (type) => NUMBER.test(type);
export const isTime = (type) => /^(DATE|TIME)/.test(type);
const isList = (type) => type.endsWith("[]");

const name = (column) => `"${column.replaceAll('"', '""')}"`;

function literal(value, type) {
  if (isNumber(type) && /^[-+.\deE]+$/.test(value)) return value;
  if (type === "BOOLEAN") return value === "true" ? "true" : "false";
  return `'${value.replaceAll("'", "''")}'`;
}

function oneColumn(column, type, chip) {
  const any = [];
  const values = chip.is.map((value) => literal(value, type));
  if (isList(type)) any.push(...values.map((value) => `list_contains(${name(column)}, ${value})`));
  else if (values.length === 1) any.push(`${name(column)} = ${values[0]}`);
  else if (values.length) any.push(`${name(column)} IN (${values.join(", ")})`);
  if (chip.empty) any.push(`${name(column)} IS NULL`);
  const all = any.length ? [any.length === 1 ? any[0] : `(${any.join(" OR ")})`] : [];
  if (chip.from !== "") all.push(`${name(column)} >= ${literal(chip.from, type)}`);
  if (chip.to !== "") all.push(`${name(column)} <= ${literal(chip.to, type)}`);
  return all;
}

/** The condition of chips and box together, or "" for all items. `without` leaves out the chips of one column. */
export function condition(route, columns, without = null) {
  const parts = [];
  for (const [column, chip] of Object.entries(route.chips)) {
    const type = columns.find((one) => one.name === column)?.type;
    if (type !== undefined && column !== without) parts.push(...oneColumn(column, type, chip));
  }
  const box = route.where.trim();
  // A comment at the end of the box must not swallow what closes the parenthesis.
  if (box) parts.push(parts.length ? `(${box}\n)` : box);
  return parts.join(" AND ");
}
