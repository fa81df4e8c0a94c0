import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, readdir, symlink, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect } from "vitest";
import { isErrorCode } from "../../../src/job/errors.ts";
import { testFolder } from "../../../support/folder.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const HANDLER = here("../../../container");
const FIXTURES = here("./fixtures");
export const SAMPLE = here("../../../samples/hello-mirumoji.mp4");
export const SAMPLE_TEXT = JSON.parse(
  await readFile(here("../../../samples/hello-mirumoji.json"), "utf8"),
) as {
  text: string;
  keywords: string[];
};

const PYTHON = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], {
  encoding: "utf8",
}).trim();

/** Where a program of this machine is. */
function which(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

export interface Failure {
  v: 1;
  ok: false;
  error: { code: string; message: string };
}
export interface Transcript {
  v: 1;
  ok: true;
  path: string;
  engine: string;
  model: string;
  language: string;
  languageProbability: number | null;
  speechSeconds: number | null;
  mediaSeconds: number;
  gpuSeconds: number;
  seconds: { download: number; load: number; compute: number; upload: number };
  warnings: string[];
}
export interface Converted {
  v: 1;
  ok: true;
  path: string;
  encoder: string;
  width: number;
  height: number;
  mediaSeconds: number;
  gpuSeconds: number;
  tracks?: { kind: string; number: number; why: string; title?: string }[];
  warnings: string[];
}
export interface Segment {
  start: number;
  end: number;
  text: string;
  avgLogProb?: number;
  noSpeechProb?: number;
  compressionRatio?: number;
  words?: { start: number; end: number; text: string }[];
}

export interface Call {
  function: "transcribe" | "convert";
  args: unknown[];
  kwargs?: Record<string, unknown>;
  env?: Record<string, string>;
  /** The folder of `fixtures` with stand-ins for programs. */
  bin?: string;
  /** The folder of `fixtures` with stand-ins for Python modules. */
  python?: string;
  /** Python to run it with, in the place of the machine's own. */
  interpreter?: string;
  /** Programs of this machine that the handler may see. */
  programs?: readonly string[];
}

const ENGINES = ["pocketsphinx_continuous", "pocketsphinx"];
export const NO_ENGINE = ["ffmpeg", "ffprobe", "setpriv"];

/** A volume, a temporary directory and a PATH of its own for one test. */
export class Sandbox {
  readonly root: string;
  readonly temp: string;
  readonly #volume: string;
  readonly calls: string;
  lines: string[] = [];

  constructor(root: string) {
    this.root = root;
    this.temp = join(root, "tmp");
    this.#volume = join(root, "volumes", "vo-test");
    this.calls = join(root, "calls.jsonl");
  }

  inVolume(path: string): string {
    return join(this.#volume, path);
  }

  /** Puts a file of this machine into the volume; gives its path there. */
  async put(local: string, name = "input.mp4"): Promise<string> {
    await mkdir(this.inVolume("job-1"), { recursive: true });
    await copyFile(local, this.inVolume(`job-1/${name}`));
    return `job-1/${name}`;
  }

  /** Makes a clip with ffmpeg. */
  async clip(name: string, ...args: string[]): Promise<string> {
    const path = join(this.root, name);
    await mkdir(dirname(path), { recursive: true });
    execFileSync("ffmpeg", ["-v", "error", "-y", ...args, `file:${path}`], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    return path;
  }

  async start(call: Call): Promise<{ child: ChildProcess; result: string }> {
    await mkdir(this.temp, { recursive: true });
    await mkdir(this.#volume, { recursive: true });
    const bin = join(this.root, `bin-${Math.random().toString(36).slice(2)}`);
    await mkdir(bin);
    await symlink(PYTHON, join(bin, "python3"));
    for (const program of call.programs ?? [...NO_ENGINE, ...ENGINES]) {
      const path = which(program);
      if (path) await symlink(path, join(bin, program));
    }
    const result = join(this.root, "result.json");
    const request = { function: call.function, args: call.args, kwargs: call.kwargs ?? {} };
    const child = spawn(
      call.interpreter ?? PYTHON,
      [join(FIXTURES, "call.py"), HANDLER, JSON.stringify(request), result],
      {
        stdio: ["ignore", "pipe", "pipe"],
        env: {
          PATH: [...(call.bin ? [join(FIXTURES, call.bin)] : []), bin].join(delimiter),
          PYTHONPATH: [FIXTURES, ...(call.python ? [join(FIXTURES, call.python)] : [])].join(delimiter),
          PYTHONDONTWRITEBYTECODE: "1",
          PYTHONIOENCODING: "utf-8",
          TMPDIR: this.temp,
          TEST_VOLUMES: join(this.root, "volumes"),
          TEST_CALLS: this.calls,
          TEST_REAL_FFMPEG: which("ffmpeg") ?? "",
          ...call.env,
        },
      },
    );
    return { child, result };
  }

  /** Calls the handler to its end. It must leave nothing in the temporary directory, whatever its answer. */
  async call<T = Transcript | Converted | Failure>(call: Call): Promise<T> {
    const { child, result } = await this.start(call);
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const [code] = (await once(child, "close")) as [number | null];
    this.lines = stdout.split("\n").filter(Boolean);
    expect(await readdir(this.temp), "left in the temporary directory").toEqual([]);
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    return JSON.parse(await readFile(result, "utf8")) as T;
  }

  async transcribe(
    path: string,
    options: Record<string, unknown>,
    rest: Partial<Call> = {},
  ): Promise<Transcript> {
    const kwargs = { w_transcribe_args: options, ...rest.kwargs };
    const answer = await this.call({ ...rest, function: "transcribe", args: [path, "vo-test"], kwargs });
    expect(answer).toMatchObject({ v: 1, ok: true });
    return answer as Transcript;
  }

  async convert(
    path: string,
    options: Record<string, unknown> = {},
    rest: Partial<Call> = {},
  ): Promise<Converted> {
    const answer = await this.call({ ...rest, function: "convert", args: [path, "vo-test", options] });
    expect(answer).toMatchObject({ v: 1, ok: true });
    return answer as Converted;
  }

  /** The failure that a call must answer with. */
  async refusal(call: Call): Promise<Failure["error"]> {
    const answer = await this.call<Failure>(call);
    expect(answer).toEqual({
      v: 1,
      ok: false,
      error: { code: expect.any(String), message: expect.any(String) },
    });
    expect(isErrorCode(answer.error.code), answer.error.code).toBe(true);
    return answer.error;
  }

  async segments(transcript: Transcript): Promise<Segment[]> {
    const document = JSON.parse(await readFile(this.inVolume(transcript.path), "utf8")) as {
      segments: Segment[];
    };
    expect(document).toMatchObject({ v: 1, language: transcript.language });
    return document.segments;
  }

  /** Recorded calls of the stand-ins. */
  async noted(): Promise<unknown[]> {
    const text = await readFile(this.calls, "utf8").catch(() => "");
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as unknown);
  }

  progress(): { stage: string; fraction: number }[] {
    const prefix = "MIRUMOJI ";
    const own = this.lines.filter((line) => line.startsWith(prefix));
    return own.map((line) => JSON.parse(line.slice(prefix.length)) as { stage: string; fraction: number });
  }
}

const undo: AsyncDisposable[] = [];
afterEach(async () => {
  for (const folder of undo.splice(0)) await folder[Symbol.asyncDispose]();
});

export async function sandbox(): Promise<Sandbox> {
  const folder = await testFolder();
  undo.push(folder);
  return new Sandbox(folder.path);
}

export interface Stream {
  codec_type: string;
  codec_name: string;
  width?: number;
  height?: number;
  pix_fmt?: string;
  sample_rate?: string;
  channels?: number;
  sample_aspect_ratio?: string;
  side_data_list?: unknown[];
}

/** The streams of a file, as ffprobe sees them. */
export function streamsOf(path: string): Stream[] {
  const args = ["-v", "error", "-show_streams", "-of", "json", `file:${path}`];
  return (JSON.parse(execFileSync("ffprobe", args, { encoding: "utf8" })) as { streams: Stream[] }).streams;
}

/** The names of the top-level boxes of an MP4, in order. */
export async function boxesOf(path: string): Promise<string[]> {
  const data = await readFile(path);
  const names: string[] = [];
  for (let at = 0; at + 8 <= data.length;) {
    const size = data.readUInt32BE(at);
    names.push(data.toString("latin1", at + 4, at + 8));
    at += size === 1 ? Number(data.readBigUInt64BE(at + 8)) : size || data.length;
  }
  return names;
}

/** Writes a text file; gives its path. */
export async function writeText(folder: string, name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}
