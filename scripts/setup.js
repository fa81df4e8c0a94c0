/**
 * Makes a fresh clone ready: Node packages, the programs that jobs need, and a build. Runs before
 * `npm run demo` and `npm test`, so it is quick when there is nothing to do, uses nothing but Node, and
 * writes to standard error only (the demo's JSON owns standard output).
 */
import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Problem that the reader can fix; the message is complete. */
class SetupError extends Error {}

const root = fileURLToPath(new URL("..", import.meta.url));

/** Required programs, and the Debian and Homebrew packages that contain them. */
const NEEDS = [
  { what: "redis-server", isThere: () => find("redis-server"), debian: ["redis-server"], brew: "redis" },
  { what: "ffmpeg", isThere: () => find("ffmpeg"), debian: ["ffmpeg"], brew: "ffmpeg" },
  { what: "ffprobe", isThere: () => find("ffprobe"), debian: ["ffmpeg"], brew: "ffmpeg" },
  { what: "python3", isThere: () => find("python3"), debian: ["python3"], brew: "python" },
  { what: "PocketSphinx", isThere: sphinx, debian: ["pocketsphinx"], brew: "cmu-pocketsphinx" },
  {
    what: "PocketSphinx's en-us model",
    isThere: sphinxModel,
    debian: ["pocketsphinx-en-us"],
    brew: "cmu-pocketsphinx",
  },
];

try {
  checkNode();
  installPackages();
  installPrograms();
  await import("./build.js"); // in this process: starting another would take longer than its check
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new SetupError(`Node 20.19 or newer is needed; this is ${process.versions.node}`);
}

function installPackages() {
  if (arePackagesCurrent()) return;
  say("installing Node packages (npm ci)");
  // `npm run` passes the path of npm; this also works where npm is a shell script.
  const npm = process.env["npm_execpath"] ?? "";
  const [command, first] = /npm-cli\.c?js$/.test(npm) ? [process.execPath, [npm]] : ["npm", []];
  run(command, [...first, "ci", "--no-audit", "--no-fund"], "npm ci failed; its message is above");
}

/**
 * Compares npm's record of the last install with the lock file. Modification times would not do: a checkout
 * changes them, and a needless `npm ci` takes a minute.
 */
function arePackagesCurrent() {
  const installed = readLock("node_modules/.package-lock.json");
  if (installed === null) return false;
  const wanted = Object.entries(readLock("package-lock.json") ?? {});
  return wanted.every(([path, { version, integrity, optional }]) => {
    const found = installed[path];
    if (path === "" || (found === undefined && optional)) return true;
    return found?.version === version && found?.integrity === integrity;
  });
}

function readLock(name) {
  try {
    return JSON.parse(readFileSync(join(root, name), "utf8")).packages;
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
}

function installPrograms() {
  const missing = missingNeeds();
  if (missing.length === 0) return;
  const packages = [...new Set(missing.flatMap((need) => need.debian))];
  const names = missing.map((need) => need.what).join(", ");
  const asRoot = rootPrefix();
  if (!find("apt-get") || asRoot === null) {
    throw new SetupError(`missing: ${names}. ${hint(missing, packages)}`);
  }
  say(`missing: ${names}; installing ${packages.join(" ")} (apt-get)`);
  // The packages' services are not used, since everything here starts its own Redis on its own port.
  // RUNLEVEL=1 asks the package scripts not to start them.
  const apt = (...args) => {
    const settings = ["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];
    const [command, ...rest] = [...asRoot, "env", ...settings, "apt-get", "-q", "-y", ...args];
    return spawnSync(command, rest, { stdio: ["ignore", 2, 2] }).status === 0;
  };
  const install = () => apt("install", "--no-install-recommends", ...packages);
  const isInstalled = (hasPackageLists() && install()) || (apt("update") && install());
  const still = missingNeeds();
  if (isInstalled && still.length === 0) return;
  const left = still.map((need) => need.what).join(", ");
  throw new SetupError(`still missing after apt-get: ${left || "nothing, but apt-get failed"}`);
}

function missingNeeds() {
  return NEEDS.filter((need) => !need.isThere());
}

function hint(missing, packages) {
  if (process.platform !== "darwin") {
    return `Debian and Ubuntu: sudo apt-get install ${packages.join(" ")}. Elsewhere: the same programs, on the PATH.`;
  }
  const formulas = [...new Set(missing.map((need) => need.brew))];
  return `Homebrew: brew install ${formulas.join(" ")}`;
}

/** Command prefix for root, or null when root would need a password. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  if (!find("sudo")) return null;
  return spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0 ? ["sudo", "-n"] : null;
}

function hasPackageLists() {
  try {
    return readdirSync("/var/lib/apt/lists").some((name) => name.includes("_Packages"));
  } catch {
    return false;
  }
}

function sphinx() {
  return find("pocketsphinx_continuous") ?? find("pocketsphinx");
}

/** Model folders of the packages, `bin` and `share`; the handler looks in the same places. */
function sphinxModel() {
  const program = sphinx();
  const prefixes = ["/usr", "/usr/local"];
  if (program) prefixes.push(dirname(dirname(program)), dirname(dirname(realpathSync(program))));
  const folders = prefixes.map((prefix) => join(prefix, "share/pocketsphinx/model/en-us"));
  const chosen = process.env["MIRUMOJI_POCKETSPHINX_MODEL"];
  return [...(chosen ? [chosen] : []), ...folders].some((folder) => existsSync(join(folder, "en-us.lm.bin")));
}

function find(program) {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, program)).find(isProgram);
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function run(command, args, failure) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new SetupError(error ? `${failure} (${error.message})` : failure);
}

function say(line) {
  process.stderr.write(`setup: ${line}\n`);
}
