import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseSync } from "subtitle";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { modalVolumes } from "../../src/modal/volumes/volumes.ts";
import { SAMPLE } from "../../support/dev.ts";
import { type Stack, startStack, type WorkerProcess } from "../../support/stack.ts";
import { lavfi, mediaMaker, options, openTrack } from "../helpers/media/media-maker.ts";
import { startHostForTests } from "../helpers/modal/gpu-host.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
  const { make } = mediaMaker(stack.mediaRoot);
  // Half of the sample: a speech engine takes a core for a third of what it hears.
  const short = await make("short.mp4", "-i", SAMPLE, ...options("-t 8 -c copy"));
  // An MPEG stream whose sound begins 3 s after its picture: the sample's voice, moved.
  const sound = ["-itsoffset", "3", "-i", short, "-map", "0:v", "-map", "1:a"];
  const codecs = options("-c:v mpeg2video -q:v 2 -c:a copy");
  await make("late.ts", ...lavfi("testsrc2=s=640x360:r=25:d=11"), ...sound, ...codecs);
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

async function transcribe(input: string, output: string) {
  const { id } = await stack.client.submit("transcribe", { input, output, language: "en" });
  return await stack.client.wait(id, { pollMs: 50 });
}

async function cuesOf(output: string): Promise<{ start: number; text: string }[]> {
  const nodes = parseSync(await readFile(join(stack.mediaRoot, output), "utf8"));
  return nodes.flatMap(({ type, data }) => (type === "cue" && typeof data !== "string" ? [data] : []));
}

async function metric(worker: WorkerProcess, name: string): Promise<number> {
  const [, url = ""] = /"metricsUrl":"([^"]+)"/u.exec(worker.log()) ?? [];
  const text = await (await fetch(url)).text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "mu").exec(text)?.[1]);
}

describe("a film whose sound begins late", () => {
  it("is sent as its audio, and its subtitles stand where they are spoken", async () => {
    const worker = await stack.startWorker();
    const sample = await transcribe("short.mp4", "sample.srt");
    expect(sample.report).toMatchObject({ audioOnly: false });
    const late = await transcribe("late.ts", "late.srt");
    const { size } = await stat(join(stack.mediaRoot, "late.ts"));
    expect(late).toMatchObject({ status: "completed", report: { audioOnly: true, inputBytes: size } });
    const { sentBytes = 0, savedBytes, warnings } = late.report ?? {};
    expect(sentBytes).toBeGreaterThan(50_000);
    expect(sentBytes).toBeLessThan(size / 10);
    expect(savedBytes).toBe(size - sentBytes);
    expect(warnings).toEqual([]);
    expect(stack.host.stats().calls.list.map(({ path }) => path)).toContain(`${late.id}/audio.flac`);
    expect(await metric(worker, "mirumoji_transfer_saved_bytes_total")).toBeGreaterThanOrEqual(
      size - sentBytes,
    );
    expect(await metric(worker, "mirumoji_transfer_saved_bytes_total")).toBeLessThan(size);

    const [plain, moved] = [await cuesOf("sample.srt"), await cuesOf("late.srt")];
    expect(moved.map(({ text }) => text)).toEqual(plain.map(({ text }) => text));
    moved.forEach(({ start }, index) => {
      expect(Math.abs(start - (plain[index]?.start ?? 0) - 3000)).toBeLessThan(100);
    });
    await worker.kill("SIGTERM");
  });

  it("is sent whole by a worker without ffmpeg, with the same subtitles; not when it must be the audio", async () => {
    const bin = join(stack.mediaRoot, "nothing");
    await mkdir(bin);
    const worker = await stack.startWorker({ PATH: bin });
    const whole = await transcribe("late.ts", "whole.srt");
    expect(whole).toMatchObject({ status: "completed", report: { audioOnly: false } });
    expect(worker.log()).toMatch(
      /the whole input is sent, not only its audio: ffprobe is not on this machine/u,
    );
    expect(await cuesOf("whole.srt")).toEqual(await cuesOf("late.srt"));
    await worker.kill("SIGTERM");

    await stack.startWorker({ PATH: bin, MIRUMOJI_UPLOAD_AUDIO_ONLY: "always" });
    const refused = await transcribe("late.ts", "refused.srt");
    expect(refused).toMatchObject({ status: "failed", error: { code: "PROGRAM_MISSING" } });
    expect(stack.host.stats().volumes.list).toEqual([]);
  });
});

it("goes on where an interrupted upload stopped, as the same input makes the same blocks", async () => {
  await using test = await startHostForTests();
  const volumes = modalVolumes(test.session);
  const { volumeId } = await volumes.create({ signal: new AbortController().signal });
  // Noise, so that a minute has 1.9 MB.
  const noise = lavfi("anoisesrc=c=white:a=0.5:r=16000:d=660:seed=1");
  const path = await mediaMaker(test.folder).make("noise.wav", ...noise, "-ac", "2", "-ar", "44100");
  const send = async (stop: AbortController) => {
    const track = await openTrack(path, { isForced: false, signal: stop.signal });
    if (track === null) throw new Error("a WAV is more than its track");
    try {
      return await volumes.putStream({
        volumeId,
        remotePath: "job/audio.flac",
        content: track.content,
        expectedBytes: () => track.expectedBytes(),
        signal: stop.signal,
        onProgress: ({ doneBytes }) => {
          if (isFirst && doneBytes > 0) stop.abort(new Error("the worker stops"));
        },
      });
    } finally {
      await track.close();
    }
  };
  let isFirst = true;
  await expect(send(new AbortController())).rejects.toThrow();
  isFirst = false;
  const second = await send(new AbortController());
  expect(second.sizeBytes).toBeGreaterThan(8 * 2 ** 20);
  expect(second.sentBytes).toBeLessThanOrEqual(second.sizeBytes - 8 * 2 ** 20);
});
