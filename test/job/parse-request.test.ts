import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MirumojiError } from "../../src/job/errors.ts";
import { parseRequest } from "../../src/job/parse-request.ts";
import { checkMediaPath, planOutputs, remoteInputPath } from "../../src/job/paths.ts";

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof MirumojiError) return error.code;
    throw error;
  }
  return "accepted";
}

describe("parseRequest", () => {
  it("fills in Mirumoji's defaults", () => {
    expect(parseRequest("transcribe", { v: 1, input: "a.mkv" })).toEqual({
      type: "transcribe",
      request: {
        v: 1,
        input: "a.mkv",
        formats: ["srt"],
        language: "ja",
        audio_track: null,
        dual_mono: "both",
        beam_size: 5,
        best_of: 5,
        patience: 1,
        length_penalty: 1,
        temperature: 0,
        compression_ratio_threshold: 2,
        log_prob_threshold: -1,
        no_speech_threshold: 0.3,
        parallel: null,
        cache: null,
        condition_on_previous_text: false,
        initial_prompt: null,
        hotwords: null,
        repetition_penalty: 1,
        no_repeat_ngram_size: 0,
        hallucination_silence_threshold: null,
        batch_size: null,
        language_confidence: 0.5,
        task: "transcribe",
        model: null,
        vad_filter: true,
        vad_threshold: 0.5,
        vad_min_speech_ms: 100,
        vad_min_silence_ms: 1000,
        vad_speech_pad_ms: 500,
        fix: false,
        translate_to: null,
        clean_audio: false,
        layout: "readable",
        max_line_width: null,
        max_lines: 2,
        max_cps: null,
        word_times: false,
      },
    });
    expect(parseRequest("convert", { v: 1, input: "a.mkv" }).request).toEqual({
      v: 1,
      input: "a.mkv",
      resolution: "1280x720",
      target_bitrate: "2500k",
      preset: "balanced",
      codec: "h264",
      crf: null,
      copy: false,
      deinterlace: "auto",
      language: null,
      audio_track: null,
      dual_mono: "both",
      keep_all_audio: true,
      keep_subtitles: true,
    });
  });

  it.each([
    ["an unknown type", "burn", { v: 1, input: "a" }, "JOB_TYPE_UNKNOWN"],
    ["no object", "convert", "garbage", "REQUEST_INVALID"],
    ["null", "convert", null, "REQUEST_INVALID"],
    ["a list", "convert", [], "REQUEST_INVALID"],
    ["no version", "convert", { input: "a" }, "REQUEST_INVALID"],
    ["another version", "convert", { v: 2, input: "a" }, "CONTRACT_VERSION_UNKNOWN"],
    ["an unknown field", "convert", { v: 1, input: "a", colour: "red" }, "REQUEST_INVALID"],
    ["a wrong type", "convert", { v: 1, input: 7 }, "REQUEST_INVALID"],
    ["an empty input", "convert", { v: 1, input: "" }, "REQUEST_INVALID"],
    ["a bit rate of one", "convert", { v: 1, input: "a", target_bitrate: "1" }, "REQUEST_INVALID"],
    ["an endless bit rate", "convert", { v: 1, input: "a", target_bitrate: "9000000k" }, "REQUEST_INVALID"],
    ["a track before the first", "convert", { v: 1, input: "a", audio_track: 0 }, "REQUEST_INVALID"],
    ["a bad resolution", "convert", { v: 1, input: "a", resolution: "1280*720" }, "REQUEST_INVALID"],
    ["a tiny resolution", "convert", { v: 1, input: "a", resolution: "10x10" }, "REQUEST_INVALID"],
    ["a bad bit rate", "convert", { v: 1, input: "a", target_bitrate: "fast" }, "REQUEST_INVALID"],
    ["an unknown format", "transcribe", { v: 1, input: "a", formats: ["doc"] }, "REQUEST_INVALID"],
    ["a format twice", "transcribe", { v: 1, input: "a", formats: ["srt", "srt"] }, "REQUEST_INVALID"],
    ["no formats", "transcribe", { v: 1, input: "a", formats: [] }, "REQUEST_INVALID"],
    ["dots", "convert", { v: 1, input: "../a" }, "PATH_OUTSIDE_MEDIA_ROOT"],
    ["half of a character", "convert", { v: 1, input: "a\ud800.mkv" }, "PATH_OUTSIDE_MEDIA_ROOT"],
    ["dots inside", "convert", { v: 1, input: "a/../../b" }, "PATH_OUTSIDE_MEDIA_ROOT"],
    ["an absolute path", "convert", { v: 1, input: "/etc/passwd" }, "PATH_OUTSIDE_MEDIA_ROOT"],
    ["a NUL", "convert", { v: 1, input: "a\0.mp4" }, "PATH_OUTSIDE_MEDIA_ROOT"],
    ["dots in the output", "convert", { v: 1, input: "a", output: "x/../../y" }, "PATH_OUTSIDE_MEDIA_ROOT"],
  ])("refuses %s", (_what, type, data, code) => {
    expect(codeOf(() => parseRequest(type, data))).toBe(code);
  });

  it("names the field that is wrong", () => {
    expect(() => parseRequest("convert", { v: 1, input: "a", preset: "slow" })).toThrow(/preset/u);
  });

  it("gives a typed error or a request for any JSON at all", () => {
    fc.assert(
      fc.property(fc.constantFrom("transcribe", "convert"), fc.jsonValue(), (type, data) => {
        expect(codeOf(() => parseRequest(type, data))).toMatch(/^[A-Z_]+$|^accepted$/u);
      }),
    );
  });
});

describe("checkMediaPath", () => {
  it("accepts no path that a normaliser takes out of the root", () => {
    const part = fc.oneof(fc.constantFrom("..", ".", "", "a", "%2e%2e", "..."), fc.string({ maxLength: 4 }));
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join("/")),
        (path) => {
          fc.pre(path !== "");
          if (codeOf(() => checkMediaPath(path, "input")) !== "accepted") return;
          const { pathname } = new URL(`file:///root/${path.split("/").map(encodeURIComponent).join("/")}`);
          expect(pathname.startsWith("/root/")).toBe(true);
        },
      ),
    );
  });
});

describe("planOutputs", () => {
  const outputs = (type: string, fields: object) =>
    planOutputs(parseRequest(type, { v: 1, input: "films/ep 1.mkv", ...fields })).map(({ path }) => path);

  it("puts outputs beside the input by default", () => {
    expect(outputs("transcribe", { formats: ["srt", "vtt", "json", "txt", "joined"] })).toEqual([
      "films/ep 1.srt",
      "films/ep 1.vtt",
      "films/ep 1.json",
      "films/ep 1.txt",
      "films/ep 1.joined.txt",
    ]);
    expect(outputs("convert", {})).toEqual(["films/ep 1.mp4"]);
  });

  it("takes the wanted path, with each format's ending", () => {
    expect(outputs("transcribe", { output: "subs/one.srt" })).toEqual(["subs/one.srt"]);
    expect(outputs("transcribe", { output: "subs/one", formats: ["vtt", "srt"] })).toEqual([
      "subs/one.vtt",
      "subs/one.srt",
    ]);
    expect(outputs("convert", { output: "out.mp4" })).toEqual(["out.mp4"]);
  });

  it("never overwrites the input", () => {
    expect(outputs("convert", { input: "a.mp4" })).toEqual(["a.converted.mp4"]);
    expect(codeOf(() => outputs("convert", { input: "a.mp4", output: "./a.mp4" }))).toBe("REQUEST_INVALID");
    expect(codeOf(() => outputs("transcribe", { input: "a.srt" }))).toBe("REQUEST_INVALID");
  });

  it("keeps names without an extension and hidden names whole", () => {
    expect(outputs("convert", { input: "a.b/film" })).toEqual(["a.b/film.mp4"]);
    expect(outputs("convert", { input: "dir/.hidden" })).toEqual(["dir/.hidden.mp4"]);
  });
});

describe("remoteInputPath", () => {
  it("is always one segment for the job and one for the file", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (jobId, input) => {
        fc.pre(!/\p{Surrogate}/u.test(jobId));
        const parts = remoteInputPath(jobId, input).split("/");
        expect(parts).toHaveLength(2);
        expect(parts).not.toContain("..");
        expect(parts).not.toContain("");
      }),
    );
  });
});
