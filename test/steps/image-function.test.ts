import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { REQUEST_SCHEMAS, type SubtitleFormat } from "../../src/job/contract.ts";
import type { FactsAt } from "../../src/job/facts.ts";
import { download } from "../../src/steps/download.ts";
import { callInput, outputFormatFor } from "../../src/steps/call-input.ts";
import { parseImageResult, transcriptFromSrt } from "../../src/steps/image-function.ts";
import { packText, unpackText } from "../../src/steps/packed-text.ts";
import { FakeWorld } from "../helpers/runner/fake-world.ts";

const facts: FactsAt["call"] = {
  volumeId: "vo-1",
  remotePath: "j1/film.mkv",
  inputBytes: 1,
  sentBytes: 1,
  inputSeconds: 7.5,
};
const name = "jobs.speech:transcribe_job";
const transcribe = (formats: SubtitleFormat[]) => ({
  type: "transcribe" as const,
  request: REQUEST_SCHEMAS.transcribe.parse({ v: 1, input: "film.mkv", formats }),
});
const convert = {
  type: "convert" as const,
  request: REQUEST_SCHEMAS.convert.parse({ v: 1, input: "film.mkv" }),
};
const models = { allowed: [] };
const SRT =
  "1\n00:00:00,500 --> 00:00:02,000\nこんにちは\n世界\n\n2\n00:00:03,000 --> 00:00:04,250\nさようなら\n";

describe("a call of the image's own function", () => {
  it("asks for SRT when anything but joined text can be made from it", () => {
    expect(outputFormatFor({ formats: ["joined"] })).toBe("joined");
    for (const format of ["srt", "vtt", "json", "txt"] as const) {
      expect(outputFormatFor({ formats: ["joined", format] })).toBe("srt");
    }
    expect(callInput(transcribe(["vtt"]), facts, { imageFunction: name, models }).args).toEqual([
      "j1/film.mkv",
      "vo-1",
      "srt",
    ]);
    expect(callInput(transcribe(["vtt"]), facts, { imageFunction: undefined, models }).args).toEqual([
      "j1/film.mkv",
      "vo-1",
      "segments",
    ]);
  });

  it("gives a text that the checkpoint carries, with what is known of the work", async () => {
    const options = { name, job: transcribe(["srt"]), facts, runSeconds: 2.25 };
    const result = await parseImageResult(SRT, options);
    expect(result).toMatchObject({ engine: name, mediaSeconds: 7.5, gpuSeconds: 2.25, warnings: [] });
    expect(await unpackText("packedText" in result ? result.packedText : "")).toBe(SRT);
  });

  it("knows the length from the last subtitle where the input does not tell", async () => {
    const { inputSeconds: _, ...unknown } = facts;
    const options = { name, job: transcribe(["srt"]), facts: unknown, runSeconds: null };
    expect(await parseImageResult(SRT, options)).toMatchObject({ mediaSeconds: 4.25, gpuSeconds: 0 });
  });

  it("may find no speech, and says so", async () => {
    const options = { name, job: transcribe(["srt"]), facts, runSeconds: 1 };
    for (const silent of ["", "\n \n"]) {
      expect(await parseImageResult(silent, options)).toMatchObject({ warnings: ["no speech was found"] });
    }
  });

  it("gives the path of a video", async () => {
    const options = { name, job: convert, facts, runSeconds: 1 };
    expect(await parseImageResult("j1/film.mp4", options)).toMatchObject({
      path: "j1/film.mp4",
      engine: name,
    });
  });

  it.each([
    ["nothing", null, "nothing"],
    ["bytes", Buffer.from(SRT), "bytes"],
    ["our handler's result", { v: 1, ok: true, path: "x" }, "a value of type object"],
    ["a list", [SRT], "a list"],
    ["words", "hello there", "not SRT"],
    ["WebVTT without a cue", "WEBVTT\n\n", "not SRT"],
    ["broken times", "1\n00:00:00,500 --> soon\nhello\n", "not SRT"],
  ])("is refused when it returns something else: %s", async (_what, value, why) => {
    const options = { name, job: transcribe(["txt"]), facts, runSeconds: 1 };
    const parsing = parseImageResult(value, options);
    await expect(parsing).rejects.toMatchObject({ code: "FUNCTION_RESULT_INVALID" });
    await expect(parsing).rejects.toThrow(`${name} does not keep to the contract`);
    await expect(parsing).rejects.toThrow(why);
  });

  it.each([
    ["a text", SRT, false],
    ["no path", " ", true],
  ])("is refused as a video when it returns %s", async (_what, value, refused) => {
    const parsing = parseImageResult(value, { name, job: convert, facts, runSeconds: 1 });
    if (refused) await expect(parsing).rejects.toMatchObject({ code: "FUNCTION_RESULT_INVALID" });
    else await expect(parsing).resolves.toMatchObject({ path: SRT });
  });
});

describe("the text in the checkpoint", () => {
  it("takes a third of the place or less, for a film of hours", async () => {
    const cues = Array.from({ length: 4000 }, (_item, index) => {
      const time = `00:${String(index % 60).padStart(2, "0")}:00,${String(index % 1000).padStart(3, "0")}`;
      return `${index + 1}\n${time} --> ${time}\n台詞その${index * 7919}、続きます。\n`;
    }).join("\n");
    const packed = await packText(cues);
    expect(Buffer.byteLength(cues)).toBeGreaterThan(200_000);
    expect(packed.length).toBeLessThan(Buffer.byteLength(cues) / 3);
    expect(await unpackText(packed)).toBe(cues);
  });
});

describe("the outputs", () => {
  /** Runs the step with a result that is nowhere but in the checkpoint; gives the files by format. */
  async function outputsOf(text: string, formats: SubtitleFormat[]): Promise<Record<string, string>> {
    const folder = await mkdtemp(join(tmpdir(), "mirumoji-test-"));
    const written: Record<string, string> = {};
    try {
      const world = new FakeWorld().tools();
      const job = transcribe(formats);
      const result = await parseImageResult(text, { name, job, facts, runSeconds: 1 });
      const writeOutputs: typeof world.media.writeOutputs = async ({ outputs }) => {
        for (const { output, fill } of outputs) {
          const path = join(folder, output.format);
          const handle = await open(path, "wx");
          await fill(handle);
          await handle.close();
          written[output.format] = await readFile(path, "utf8");
        }
        return [];
      };
      await download(
        {
          id: "j1",
          reserve: async () => await Promise.resolve(),
          speed: async () => await Promise.resolve(null),
          request: job,
          facts: { ...facts, callId: "fc-1", result },
          enteredAt: 0,
          signal: new AbortController().signal,
          report: () => undefined,
          warn: () => undefined,
          save: async () => await Promise.resolve(),
        },
        { ...world, media: { ...world.media, writeOutputs } },
      );
      return written;
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  it("are the function's own SRT, and everything else from its subtitles", async () => {
    const files = await outputsOf(SRT, ["srt", "vtt", "json", "txt", "joined"]);
    expect(files["srt"]).toBe(SRT);
    expect(files["vtt"]).toMatch(/^WEBVTT\n[^]*00:00:03\.000 --> 00:00:04\.250\nさようなら/u);
    expect(files["txt"]).toBe("こんにちは 世界\nさようなら\n");
    expect(files["joined"]).toBe("こんにちは 世界。さようなら");
    expect(JSON.parse(files["json"] ?? "")).toEqual({
      v: 1,
      language: "ja",
      engine: name,
      segments: [
        { start: 0.5, end: 2, text: "こんにちは 世界" },
        { start: 3, end: 4.25, text: "さようなら" },
      ],
    });
  });

  it("are the joined text as it came when nothing else is wanted", async () => {
    expect(await outputsOf("こんにちは。さようなら", ["joined"])).toEqual({
      joined: "こんにちは。さようなら",
    });
  });

  it("are empty files when nobody speaks", async () => {
    expect(await outputsOf("", ["srt", "txt"])).toEqual({ srt: "", txt: "" });
  });
});

it("reads SRT as the world writes it: byte order mark, Windows line ends, dots for commas", () => {
  const text =
    "\uFEFF1\r\n00:00:01.000 --> 00:00:02.000\r\nhello\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\nyou\r\n";
  expect(transcriptFromSrt(text, { name, language: "en" }).segments).toEqual([
    { start: 1, end: 2, text: "hello" },
    { start: 3, end: 4, text: "you" },
  ]);
});
