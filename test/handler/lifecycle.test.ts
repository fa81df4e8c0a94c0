import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { type Call, SAMPLE, type Sandbox, sandbox, streamsOf } from "../helpers/handler/handler.ts";

const picture = (size: string, seconds: number) =>
  `-f lavfi -i testsrc2=s=${size}:d=${seconds} -c:v libx264 -preset ultrafast`.split(" ");

/** Processes whose command line names the sandbox's temporary directory: children of the handler. */
function childrenOf(box: Sandbox): string[] {
  const all = execFileSync("ps", ["-eww", "-o", "pid=,stat=,args="], { encoding: "utf8" }).split("\n");
  return all.filter((line) => line.includes(box.temp));
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 50) {
    if (waited > 20_000) throw new Error(`waited in vain: ${what}`);
    await sleep(50);
  }
}

/** Starts a call and comes back when its engine is at work. */
async function atWork(box: Sandbox, call: Call, program: string) {
  const { child, result } = await box.start(call);
  child.stdout?.resume();
  child.stderr?.resume();
  await until(() => childrenOf(box).some((line) => line.includes(program)), `${program} runs`);
  return { child, result };
}

/** A film that takes long to convert and no time to make. */
async function longFilm(box: Sandbox): Promise<string> {
  const short = await box.clip("short.mp4", ...picture("1280x720", 1));
  return box.put(await box.clip("long.mp4", "-stream_loop", "99", "-i", short, "-c", "copy"));
}

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s while converting: no child and no file is left",
  async (signal) => {
    const box = await sandbox();
    const path = await longFilm(box);
    const call: Call = { function: "convert", args: [path, "vo-test", { preset: "quality" }] };
    const { child, result } = await atWork(box, call, "output.mp4");
    child.kill(signal);
    const [code, died] = (await once(child, "close")) as [number | null, string | null];
    // Python ends itself by SIGINT after KeyboardInterrupt; 143 is 128 + SIGTERM.
    expect(code ?? died).toBe(signal === "SIGTERM" ? 143 : "SIGINT");
    expect(childrenOf(box)).toEqual([]);
    expect(await readdir(box.temp)).toEqual([]);
    expect(existsSync(result)).toBe(false);
  },
);

test("SIGTERM while transcribing: no child and no file is left", async () => {
  const box = await sandbox();
  const options = { w_transcribe_args: { language: "en" } };
  const call: Call = { function: "transcribe", args: [await box.put(SAMPLE), "vo-test"], kwargs: options };
  const { child, result } = await atWork(box, call, "audio.wav -time");
  child.kill("SIGTERM");
  await once(child, "close");
  expect(childrenOf(box)).toEqual([]);
  expect(await readdir(box.temp)).toEqual([]);
  expect(existsSync(result)).toBe(false);
});

test("even SIGKILL takes the encoder along", async () => {
  const box = await sandbox();
  const path = await longFilm(box);
  const call: Call = { function: "convert", args: [path, "vo-test", { preset: "quality" }] };
  const { child } = await atWork(box, call, "output.mp4");
  child.kill("SIGKILL");
  await until(() => childrenOf(box).length === 0, "the encoder is gone");
});

test.each([
  "-i.mp4",
  "http:evil.mp4",
  "concat:a|b.mp4",
  "%03d.mp4",
  "日本語 ünï.mp4",
  `it's "quoted" $(id) .mp4`,
  "new\nline.mp4",
  "no-extension",
  "odd.mp4;x",
  `${"long".repeat(62)}.mp4`,
])("a file named %j", async (name) => {
  const box = await sandbox();
  const clip = await box.clip("a.mp4", ...picture("64x64", 0.2));
  const answer = await box.convert(await box.put(clip, name));
  expect(answer.path).toBe("job-1/out/output.mp4");
  expect(streamsOf(box.inVolume(answer.path))).toHaveLength(1);
});

test("a name never breaks the lines of the log", async () => {
  const box = await sandbox();
  const name = 'x\nMIRUMOJI {"stage": "upload", "fraction": 1}\n.mp4';
  const sound = await box.clip("a.mp3", "-f", "lavfi", "-i", "sine=d=0.2");
  const call: Call = { function: "convert", args: [await box.put(sound, name), "vo-test"] };
  expect((await box.refusal(call)).code).toBe("INPUT_NOT_MEDIA");
  expect(box.progress().map((line) => line.stage)).not.toContain("upload");
});

test("progress never goes back and comes a few times a second, however often it is set", () => {
  const script = `
import time, mirumoji_gpu.progress
progress = mirumoji_gpu.progress.Progress("convert")
for step in range(200):
    progress.set(step / 400)
    time.sleep(0.005)
time.sleep(0.3)
progress.set(0.1)
progress.done()`;
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", PYTHONPATH: "container" };
  const started = performance.now();
  const lines = execFileSync("python3", ["-c", script], { encoding: "utf8", env }).trim().split("\n");
  const seconds = (performance.now() - started) / 1000;
  const fractions = lines.map((line) => JSON.parse(line.replace("MIRUMOJI ", "")).fraction as number);
  expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
  expect([fractions.at(0), fractions.at(-1)]).toEqual([0, 1]);
  expect(lines.length).toBeGreaterThan(3);
  expect(lines.length).toBeLessThan(4 * seconds + 3);
});

test("an SDK that only streams chunks serves as well", async () => {
  const box = await sandbox();
  const env = { TEST_VOLUME_READS: "chunks" };
  const answer = await box.convert(await box.put(SAMPLE), { preset: "performance" }, { env });
  expect(answer.mediaSeconds).toBeGreaterThan(15);
});

test("what nobody foresaw is raised, and leaves nothing behind", async () => {
  const box = await sandbox();
  const { child } = await box.start({ function: "convert", args: ["job-1/gone.mp4", "vo-test"] });
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdout?.resume();
  const [code] = (await once(child, "close")) as [number];
  expect(code).toBe(1);
  expect(stderr).toContain("FileNotFoundError");
  expect(await readdir(box.temp)).toEqual([]);
});
