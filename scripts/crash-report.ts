import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { type CrashTables, crashTables, fillIn } from "./generate/crash-tables.ts";

/** Places of the tables that `npm run report:crash` renews from the last `npm run test:crash`. */
const PLACES: readonly (readonly [path: string, name: keyof CrashTables])[] = [
  ["README.md", "inBrief"],
  ["docs/durability.md", "inGroups"],
  ["docs/durability.md", "inFull"],
];

const place = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const tables = crashTables(await readFile(place("test-results/crash.json"), "utf8"));
const measured = `Measured with \`npm run test:crash\` on ${new Date().toISOString().slice(0, 10)}, two CPU cores.`;
for (const [path, name] of PLACES) {
  const text = await readFile(place(path), "utf8");
  await writeFile(place(path), fillIn(text, name, `${measured}\n\n${tables[name]}`));
}
