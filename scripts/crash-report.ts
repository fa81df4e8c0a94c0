import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { crashTables, fillIn } from "./generate/crash-tables.ts";

/** Writes the figures of the last `npm run test:crash` into docs/durability.md. */
const place = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const { inGroups, inFull } = crashTables(await readFile(place("test-results/crash.json"), "utf8"));
const measured = `Measured with \`npm run test:crash\` on ${new Date().toISOString().slice(0, 10)}, two CPU cores.`;
for (const [path, table] of [
  ["README.md", inGroups],
  ["docs/durability.md", inFull],
] as const) {
  const text = await readFile(place(path), "utf8");
  await writeFile(place(path), fillIn(text, `${measured}\n\n${table}`));
}
