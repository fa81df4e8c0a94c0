/**
 * Compiles `src` into `dist` when `dist` is not what the sources say. Plain JavaScript without
 * dependencies: npm runs it as `prepare`, also where only production packages are installed.
 *
 *   --force     build although nothing changed
 *   --no-check  do not check types; for test runs, where types have a gate of their own
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = join(root, "src");
const dist = join(root, "dist");
const stamp = join(dist, ".build.json");
const lock = join(dist, ".lock");
const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
const settings = [
  "tsconfig.json",
  "tsconfig.build.json",
  "package.json",
  "package-lock.json",
  "scripts/build.js",
];
/** Taken as they are: what other programs and browsers read. */
const COPIED = [".py", ".proto", ".lua", ".mjs", ".js", ".html", ".css", ".svg"];
const isCopied = (file) => COPIED.some((ending) => file.endsWith(ending));

const isForced = process.argv.includes("--force");
const isChecked = !process.argv.includes("--no-check");

process.exitCode = build();

function build() {
  if (!existsSync(source)) return 0; // An installed package has no sources; a layered image has none yet.
  if (!existsSync(compiler)) {
    if (existsSync(join(dist, "cli.js"))) return 0;
    console.error("build: TypeScript is not installed (development packages were left out); run: npm ci");
    return 1;
  }
  if (!isForced && isFresh(fingerprintOf(source))) return 0;
  takeLock();
  const fresh = join(dist, `.tmp-${process.pid}`);
  try {
    const fingerprint = fingerprintOf(source);
    if (!isForced && isFresh(fingerprint)) return 0; // Another process built it meanwhile.
    if (!compile(fresh)) return 1;
    publish(fresh, { fingerprint, isChecked });
    return 0;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
    rmSync(lock, { force: true });
  }
}

/** Allows one builder at a time; takes over the lock of a builder that died. */
function takeLock() {
  mkdirSync(dist, { recursive: true });
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (!isHeld()) rmSync(lock, { force: true });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

function isHeld() {
  try {
    const holder = readFileSync(lock, "utf8");
    const isYoung = Date.now() - statSync(lock).mtimeMs < 120_000;
    return isYoung && (holder === "" || process.kill(Number(holder), 0));
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Fingerprint of contents; modification times change with checkouts, copies and clocks. */
function fingerprintOf(folder) {
  const hash = createHash("sha256");
  for (const file of [...filesIn(folder), ...settings.map((name) => join(root, name))]) {
    if (!existsSync(file)) continue; // removed by an editor since it was listed
    const content = readFileSync(file);
    hash.update(`${relative(root, file)}\0${content.length}\0`);
    hash.update(content);
  }
  return hash.digest("hex");
}

function isFresh(fingerprint) {
  try {
    const built = JSON.parse(readFileSync(stamp, "utf8"));
    return built.fingerprint === fingerprint && (built.isChecked || !isChecked);
  } catch {
    return false;
  }
}

function compile(into) {
  const options = ["-p", join(root, "tsconfig.build.json"), "--outDir", into, "--noEmitOnError"];
  if (!isChecked) options.push("--noCheck");
  const result = spawnSync(process.execPath, [compiler, ...options], {
    cwd: root,
    stdio: ["ignore", 2, 2], // standard output belongs to the caller
  });
  if (result.status !== 0) {
    console.error("build: the compiler found errors; dist is left as it was");
    return false;
  }
  for (const file of filesIn(source).filter(isCopied)) {
    const copy = join(into, relative(source, file));
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(file, copy);
  }
  return true;
}

/**
 * Moves file by file over the existing build, so that a process that loads `dist` never misses a file. Stale
 * files are removed last and the stamp is written after that, so that an interrupted build is repeated.
 */
function publish(fresh, built) {
  rmSync(stamp, { force: true });
  const made = new Set(filesIn(fresh).map((file) => relative(fresh, file)));
  for (const file of made) {
    mkdirSync(dirname(join(dist, file)), { recursive: true });
    renameSync(join(fresh, file), join(dist, file));
  }
  for (const file of filesIn(dist)) {
    if (file !== lock && !made.has(relative(dist, file))) rmSync(file, { force: true });
  }
  writeFileSync(stamp, `${JSON.stringify(built)}\n`);
}

function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesIn(path) : [path];
    })
    .toSorted((one, other) => (one < other ? -1 : 1));
}
