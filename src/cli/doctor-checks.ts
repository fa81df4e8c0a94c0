import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import prettyBytes from "pretty-bytes";
import { checkModal } from "../compose/check-modal.ts";
import { inspectEngines } from "../compose/speech-engines.ts";
import type { Environment } from "../config/schema.ts";
import { toMirumojiError } from "../job/errors.ts";
import { openMediaRoot } from "../media/media-root.ts";
import { inspectRedis } from "../queue/inspect-redis.ts";

const run = promisify(execFile);
const LOW_DISK_BYTES = 5e9;

/** Result of one check. `advice` says what to do unless all is well. */
export interface Finding {
  readonly name: string;
  readonly level: "ok" | "warning" | "problem";
  readonly detail: string;
  readonly advice: string | null;
}

/** Checks everything that a worker needs. Leaves nothing changed. */
export async function runChecks(environment: Environment): Promise<Finding[]> {
  const checks: Promise<Finding | Finding[]>[] = [
    Promise.resolve(checkNode()),
    checkRedis(environment),
    checkModalServer(environment),
    program("ffprobe", ["-version"], "warning", "install ffmpeg: inputs are only checked beside the GPU now"),
    checkFfmpeg(environment),
    checkEngines(),
    checkMediaRoot(environment),
  ];
  return (await Promise.all(checks)).flat();
}

/** Audio tracks cannot be extracted without it. */
async function checkFfmpeg({ MIRUMOJI_UPLOAD_AUDIO_ONLY: mode }: Environment): Promise<Finding> {
  const meanwhile = {
    auto: "transcribe jobs send whole inputs now, and the GPU host here needs it",
    always: "with MIRUMOJI_UPLOAD_AUDIO_ONLY=always transcribe jobs fail without it",
    never: "the GPU host here needs it",
  };
  const level = mode === "always" ? "problem" : "warning";
  return await program("ffmpeg", ["-version"], level, `install ffmpeg: ${meanwhile[mode]}`);
}

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const isOld = major < 20 || (major === 20 && minor < 19);
  return finding("node", isOld ? "problem" : "ok", process.versions.node, "use Node 20.19 or newer");
}

async function checkRedis(environment: Environment): Promise<Finding[]> {
  try {
    const { version, evictionPolicy, appendOnly } = await inspectRedis(environment);
    return [
      finding("redis", "ok", `answers, version ${version}`, ""),
      finding(
        "redis policy",
        evictionPolicy === "noeviction" ? "ok" : "problem",
        `maxmemory-policy ${evictionPolicy}`,
        "set maxmemory-policy noeviction, or Redis may throw jobs away",
      ),
      finding(
        "redis AOF",
        appendOnly ? "ok" : "warning",
        appendOnly ? "appendonly yes" : "appendonly no",
        "turn AOF on, or a Redis restart loses jobs",
      ),
    ];
  } catch (error) {
    return [
      finding(
        "redis",
        "problem",
        toMirumojiError(error).message,
        "start Redis, or run `mirumoji-worker dev`",
      ),
    ];
  }
}

async function checkModalServer(environment: Environment): Promise<Finding> {
  try {
    await checkModal(environment);
    return finding("modal", "ok", `${environment.MODAL_SERVER_URL} accepts the token`, "");
  } catch (error) {
    const { code, message } = toMirumojiError(error);
    return finding(
      "modal",
      "problem",
      `${code}: ${message}`,
      "check MODAL_SERVER_URL and the token, or run `dev`",
    );
  }
}

async function checkEngines(): Promise<Finding> {
  const advice = "only the GPU host needs one here: faster-whisper, whisper.cpp or PocketSphinx";
  try {
    const engines = await inspectEngines();
    const problem = engines.find((engine) => engine.problem !== null)?.problem;
    const names = engines.map(({ engine, model }) => `${engine} (model ${model})`).join(", ");
    if (engines.length === 0) return finding("engines", "warning", "none on this machine", advice);
    return finding("engines", problem === undefined ? "ok" : "warning", names, problem ?? "");
  } catch (error) {
    return finding("engines", "warning", `cannot be asked: ${toMirumojiError(error).message}`, advice);
  }
}

async function checkMediaRoot(environment: Environment): Promise<Finding[]> {
  const folder = environment.HOST_MEDIA_PATH;
  try {
    const root = await openMediaRoot(folder);
    const probe = join(root.path, `.mirumoji-doctor-${randomUUID()}`);
    await mkdir(probe);
    try {
      await writeFile(join(probe, "probe"), "x");
    } finally {
      await rm(probe, { recursive: true });
    }
    const { bavail, bsize } = await statfs(root.path);
    const free = bavail * bsize;
    return [
      finding("media root", "ok", `${root.path} can be written`, ""),
      finding(
        "disk",
        free < LOW_DISK_BYTES ? "warning" : "ok",
        `${prettyBytes(free)} free`,
        "free some space",
      ),
    ];
  } catch (error) {
    return [
      finding(
        "media root",
        "problem",
        toMirumojiError(error).message,
        `make ${folder} writable, or set HOST_MEDIA_PATH`,
      ),
    ];
  }
}

async function program(
  name: string,
  args: string[],
  level: Finding["level"],
  advice: string,
): Promise<Finding> {
  const found = await works(name, args);
  return finding(name, found ? "ok" : level, found ? "found" : "not found", advice);
}

/** Tells whether the program can be started; some exit with 1 when asked for help. */
async function works(name: string, args: string[]): Promise<boolean> {
  try {
    await run(name, args, { timeout: 20_000 });
    return true;
  } catch (error) {
    const started = error instanceof Error && "code" in error && typeof error.code === "number";
    return started && name !== "python3";
  }
}

function finding(name: string, level: Finding["level"], detail: string, advice: string): Finding {
  return { name, level, detail, advice: level === "ok" ? null : advice };
}
