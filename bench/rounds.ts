/** Results of several rounds of one measurement. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** @throws RangeError when nothing was measured */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const [least, most] = [sorted[0], sorted.at(-1)];
  if (least === undefined || most === undefined) throw new RangeError("nothing was measured");
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? most;
  const lower = sorted.length % 2 === 0 ? (sorted[middle - 1] ?? least) : upper;
  return { median: rounded((lower + upper) / 2), least: rounded(least), most: rounded(most) };
}

/** `median (least-most)`, as the tables show it. */
export function shown({ median, least, most }: Spread): string {
  return `${median} (${least}-${most})`;
}

/** Three significant digits, and whole numbers from 100 on. */
export function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

/** Rows as a Markdown table, with the columns of the first one. */
export function table(rows: readonly Readonly<Record<string, string | number>>[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const lines = rows.map((row) => columns.map((column) => String(row[column] ?? "")));
  const widths = columns.map((column, at) =>
    Math.max(column.length, ...lines.map((line) => line[at]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [line(columns), rule, ...lines.map(line)].join("\n");
}
