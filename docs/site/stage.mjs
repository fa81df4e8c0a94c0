// Copies the pages to where VitePress finds what they import, in the same folders, so that their links hold.
import { cp, mkdir, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const pages = fileURLToPath(new URL("pages", import.meta.url));
/** Pages, and files that pages link to. */
const SHOWN = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "LICENSE",
  ...(await readdir(join(repository, "docs")))
    .filter((name) => name !== "site")
    .map((name) => `docs/${name}`),
  "clients/python/README.md",
  "clients/typescript/README.md",
  "container/README.md",
  "examples",
  "schema",
];

await rm(pages, { recursive: true, force: true });
for (const name of SHOWN) {
  const target = join(pages, name);
  await mkdir(dirname(target), { recursive: true });
  await cp(join(repository, name), target, { recursive: true });
}
for (const name of ["examples", "schema", "LICENSE"]) {
  await cp(join(repository, name), join(pages, "public", name), { recursive: true });
}
