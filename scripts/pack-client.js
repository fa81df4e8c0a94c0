/**
 * Fills `clients/typescript/dist` with the part of `dist` that the producer SDK needs, found by its imports, so that
 * both packages are the same code. Run by npm before that package is packed; `dist` must be built.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const target = join(root, "clients", "typescript", "dist");

const needed = new Set();
const take = (file) => {
  if (needed.has(file) || !existsSync(file)) return;
  needed.add(file);
  const text = readFileSync(file, "utf8");
  for (const [, path] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
    const found = join(dirname(file), path);
    take(found);
    take(found.replace(/\.js$/, ".d.ts"));
  }
  // Scripts lie beside the code that reads them.
  for (const [, name] of text.matchAll(/^\s*"?([a-z-]+)"?: \{ ?\n?\s*keys:/gm)) {
    take(join(dirname(file), `${name}.lua`));
  }
  for (const [, name] of text.matchAll(/\bshared: "([a-z-]+)"/g)) take(join(dirname(file), `${name}.lua`));
  for (const [, name] of text.matchAll(/"\.\/([a-z-]+\.lua)"/g)) take(join(dirname(file), name));
};
take(join(dist, "index.js"));
take(join(dist, "index.d.ts"));

rmSync(target, { recursive: true, force: true });
for (const file of needed) {
  const copy = join(target, relative(dist, file));
  mkdirSync(dirname(copy), { recursive: true });
  cpSync(file, copy);
}
