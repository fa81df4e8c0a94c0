import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";
import { PROGRAMS } from "../../support/programs.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const bundles = join(root, "node_modules/.cache/mirumoji-worker");
const DAY_MS = 86_400_000;

/** Native modules, and templates made of the text of functions. */
const EXTERNAL = ["fs-native-extensions", "ejs", "msgpackr-extract", "cbor-extract"];
/** Optional exporter of traces that earlier commits could load. */
const EARLIER = ["@opentelemetry/exporter-trace-otlp-http"];

/** Lets every file in a bundle find the files beside its source. */
const filesBesideSources: Plugin = {
  name: "files-beside-sources",
  setup(bundler) {
    bundler.onLoad({ filter: /\.[cm]?[jt]s$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      if (!/import\.meta\.url|__dirname|__filename/u.test(text)) return null;
      const contents = text
        .replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href))
        .replaceAll(/\b__dirname\b/gu, JSON.stringify(dirname(path)))
        .replaceAll(/\b__filename\b/gu, JSON.stringify(path));
      return { contents, loader: path.endsWith("ts") ? "ts" : "js" };
    });
  },
};

/** Bundles the programs of the tests, unless this state of their sources is bundled; gives the folder. */
export async function bundlePrograms(): Promise<string> {
  const folder = join(bundles, fingerprint());
  if (existsSync(folder)) return folder;
  const fresh = join(bundles, `.tmp-${process.pid}`);
  await bundleInto(fresh, root, PROGRAMS);
  removeOld();
  try {
    renameSync(fresh, folder);
  } catch (error) {
    // Another run made the same one meanwhile.
    rmSync(fresh, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** Bundles programs of a source tree, given by the names of their bundles. */
export async function bundleInto(
  folder: string,
  tree: string,
  programs: Readonly<Record<string, string>>,
): Promise<void> {
  await build({
    absWorkingDir: tree,
    entryPoints: Object.entries(programs).map(([out, path]) => ({ in: path, out })),
    outdir: folder,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node20",
    // A third of a start is parsing.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "none",
    external: [...EXTERNAL, ...EARLIER],
    plugins: [filesBesideSources],
    banner: { js: 'import { createRequire as $ } from "node:module"; const require = $(import.meta.url);' },
    logLevel: "warning",
  });
}

function fingerprint(): string {
  const hash = createHash("sha256");
  for (const folder of ["src", "support", "test/helpers"]) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.[cm]?[jt]s$/u.test(entry.name)) continue;
      const path = join(entry.parentPath, entry.name);
      const { mtimeMs, size } = statSync(path);
      hash.update(`${path}\0${size}\0${mtimeMs}\0`);
    }
  }
  hash.update(String(statSync(join(root, "node_modules/.package-lock.json")).mtimeMs));
  return hash.digest("hex").slice(0, 16);
}

/** Bundles that a run of the tests may still use are younger. */
function removeOld(): void {
  mkdirSync(bundles, { recursive: true });
  for (const name of readdirSync(bundles)) {
    const path = join(bundles, name);
    if (Date.now() - statSync(path).mtimeMs > DAY_MS) rmSync(path, { recursive: true, force: true });
  }
}
