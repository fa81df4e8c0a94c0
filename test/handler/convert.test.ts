import { readFile, writeFile } from "node:fs/promises";
import { beforeEach, expect, test } from "vitest";
import { SAMPLE, type Sandbox, boxesOf, sandbox, streamsOf, writeText } from "../helpers/handler/handler.ts";

let box: Sandbox;
beforeEach(async () => {
  box = await sandbox();
});

const picture = (size: string, seconds = 0.4) => ["-f", "lavfi", "-i", `testsrc2=s=${size}:d=${seconds}`];
const FAST = ["-c:v", "libx264", "-preset", "ultrafast"];
const NO_NVENC = "no NVENC, used libx264";

test("H.264 in yuv420p and AAC in an MP4 that starts playing before it is loaded", async () => {
  const answer = await box.convert(await box.put(SAMPLE));
  expect(answer).toEqual({
    v: 1,
    ok: true,
    path: "job-1/out/output.mp4",
    bytes: expect.any(Number),
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/u),
    encoder: "libx264",
    width: 640,
    height: 360,
    mediaSeconds: expect.closeTo(15.38, 0),
    gpuSeconds: expect.any(Number),
    tracks: [
      { kind: "video", number: 1, codec: "h264", why: "the only one" },
      { kind: "audio", number: 1, codec: "aac", why: "the only one", language: "en" },
    ],
    warnings: [NO_NVENC],
    seconds: {
      download: expect.any(Number),
      load: 0,
      upload: expect.any(Number),
      compute: expect.any(Number),
    },
  });
  expect(answer.gpuSeconds).toBeGreaterThan(0.05);
  const output = box.inVolume(answer.path);
  const streams = streamsOf(output);
  expect(streams.map((stream) => stream.codec_name)).toEqual(["h264", "aac"]);
  expect(streams[0]).toMatchObject({ pix_fmt: "yuv420p", width: 640, height: 360 });
  const boxes = await boxesOf(output);
  expect(boxes).toContain("moov");
  expect(boxes.indexOf("moov")).toBeLessThan(boxes.indexOf("mdat"));

  const fractions = box
    .progress()
    .filter((line) => line.stage === "convert")
    .map((line) => line.fraction);
  expect(fractions.at(0)).toBe(0);
  expect(fractions.at(-1)).toBe(1);
  expect(fractions.length, "ffmpeg's own progress").toBeGreaterThan(2);
  expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
});

test.each([
  ["landscape into the box", "1920x1080", [], {}, 1280, 720],
  ["portrait into the box, laid upright", "1080x1920", [], {}, 720, 1280],
  ["landscape into an upright box", "640x360", [], { resolution: "180x320" }, 320, 180],
  ["odd sides, not larger than the source", "644x364", ["-vf", "format=yuv444p,scale=643:363"], {}, 642, 362],
  ["tiny is not enlarged", "160x90", [], {}, 160, 90],
  ["a smaller box", "640x360", [], { resolution: "320x320" }, 320, 180],
  ["pixels that are not square", "720x576", ["-vf", "setsar=64/45"], {}, 1024, 576],
  ["pixels taller than wide", "640x480", ["-vf", "setsar=1/2"], {}, 320, 480],
])("%s", async (_name, size, how, options, width, height) => {
  const clip = await box.clip("in.mkv", ...picture(size, 0.2), ...how, ...FAST);
  const answer = await box.convert(await box.put(clip, "in.mkv"), options);
  expect([answer.width, answer.height]).toEqual([width, height]);
  const [video] = streamsOf(box.inVolume(answer.path));
  expect([video?.width, video?.height]).toEqual([width, height]);
  expect(video?.pix_fmt).toBe("yuv420p");
  expect(["1:1", undefined]).toContain(video?.sample_aspect_ratio);
});

test("a film held upright comes out upright, without a rotation that players might not honour", async () => {
  const flat = await box.clip("flat.mp4", ...picture("320x180"), ...FAST);
  const turned = await box.clip("turned.mp4", "-i", flat, "-c", "copy", "-metadata:s:v:0", "rotate=90");
  const answer = await box.convert(await box.put(turned));
  expect([answer.width, answer.height]).toEqual([180, 320]);
  const [video] = streamsOf(box.inVolume(answer.path));
  expect([video?.width, video?.height, video?.side_data_list]).toEqual([180, 320, undefined]);
});

test("video without audio is fine, and only one picture is taken", async () => {
  const mute = await box.clip("mute.mp4", ...picture("64x64"), ...FAST);
  const answer = await box.convert(await box.put(mute));
  expect(streamsOf(box.inVolume(answer.path)).map((stream) => stream.codec_type)).toEqual(["video"]);

  const tones = ["-f", "lavfi", "-i", "sine=d=0.4", "-f", "lavfi", "-i", "sine=f=900:d=0.4"];
  const order = ["-map", "1", "-map", "0", "-map", "0", "-map", "2", "-c:v", "copy"];
  const many = await box.clip("many.mkv", "-i", mute, ...tones, ...order);
  const second = await box.convert(await box.put(many, "many.mkv"));
  expect(streamsOf(box.inVolume(second.path)).map((stream) => stream.codec_type)).toEqual([
    "video",
    "audio",
    "audio",
  ]);
});

test("a second call writes over the first one's output", async () => {
  const path = await box.put(await box.clip("a.mp4", ...picture("64x64"), ...FAST));
  const first = await box.convert(path);
  await writeFile(box.inVolume(first.path), "half written");
  const again = await box.convert(path);
  expect(await boxesOf(box.inVolume(again.path))).toContain("moov");
});

test("a damaged file is converted as far as it goes, with a warning", async () => {
  const front = await box.clip("front.mp4", "-i", SAMPLE, "-c", "copy", "-movflags", "+faststart");
  const data = await readFile(front);
  await writeFile(front, data.subarray(0, Math.floor(data.length / 3)));
  const answer = await box.convert(await box.put(front));
  expect(answer.warnings).toEqual([
    NO_NVENC,
    expect.stringMatching(/^only \d+\.\d of 15\.\d s could be decoded/),
  ]);
});

test("what is no media, or has no video", async () => {
  const text = await box.put(await writeText(box.root, "a.txt", "no film\n".repeat(99)), "a.mp4");
  const sound = await box.put(await box.clip("a.mp3", "-f", "lavfi", "-i", "sine=d=0.5"), "a.mp3");
  const cover = await box.clip("cover.png", ...picture("32x32"), "-frames:v", "1");
  const track = ["-f", "lavfi", "-i", "sine=d=0.5", "-i", cover, "-map", "0", "-map", "1"];
  const song = await box.put(await box.clip("song.mp3", ...track), "song.mp3");
  for (const [path, says] of [
    [text, /'a\.mp4' is no audio or video/],
    [sound, /'a\.mp3' has no video stream/],
    [song, /'song\.mp3' has no video stream/],
  ] as const) {
    const error = await box.refusal({ function: "convert", args: [path, "vo-test"] });
    expect(error).toEqual({ code: "INPUT_NOT_MEDIA", message: expect.stringMatching(says) });
  }
});

test("a playlist cannot make ffmpeg read other files of the machine", async () => {
  const secret = await box.clip("secret.ts", ...picture("64x64", 1), ...FAST);
  const lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", secret, "#EXT-X-ENDLIST", ""];
  const playlist = await writeText(box.root, "list.m3u8", lines.join("\n"));
  expect(streamsOf(playlist), "ffmpeg itself would open it").toHaveLength(1);
  const error = await box.refusal({
    function: "convert",
    args: [await box.put(playlist, "list.m3u8"), "vo-test"],
  });
  expect(error.code).toBe("INPUT_NOT_MEDIA");
});

test.each([
  [{ resolution: "720p" }, "'720p'"],
  [{ target_bitrate: "fast" }, "'fast'"],
  [{ preset: "placebo" }, "'placebo'"],
  [{ crf: 99 }, "crf 99"],
  [{ target_bitrate: "1" }, "'1'"],
  [{ quality: 9 }, "'quality'"],
])("refuses %o before anything is copied", async (options, says) => {
  const error = await box.refusal({ function: "convert", args: ["job-1/none.mp4", "vo-test", options] });
  expect(error).toEqual({ code: "OPTION_UNSUPPORTED", message: expect.stringContaining(says) });
});

test.each([
  ["performance", "veryfast"],
  ["balanced", "faster"],
  ["quality", "slow"],
])("libx264, preset %s", async (preset, expected) => {
  const path = await box.put(await box.clip("a.mp4", ...picture("64x64", 0.2), ...FAST));
  await box.convert(path, { preset, target_bitrate: "4M" }, { bin: "ffmpeg", env: { TEST_NVENC: "breaks" } });
  const text = ((await box.noted()) as string[][]).findLast((args) => args.includes("libx264"))?.join(" ");
  expect(text).toContain(`-c:v libx264 -preset ${expected} -b:v 4000000 -maxrate 6000000 -bufsize 8000000`);
});

test.each([
  ["performance", "p4"],
  ["balanced", "p6"],
  ["quality", "p7"],
])("NVENC where it works, preset %s", async (preset, expected) => {
  const path = await box.put(await box.clip("a.mp4", ...picture("64x64", 0.2), ...FAST));
  const answer = await box.convert(path, { preset }, { bin: "ffmpeg", env: { TEST_NVENC: "works" } });
  expect(answer).toMatchObject({ encoder: "h264_nvenc", warnings: [] });
  const calls = ((await box.noted()) as string[][]).filter((args) => args.includes("h264_nvenc"));
  expect(calls, "a trial and the work").toHaveLength(2);
  expect(calls[0]).toContain("lavfi");
  expect(calls[1]?.join(" ")).toContain(`-c:v h264_nvenc -preset ${expected} -rc vbr -b:v 2500000`);
});

test.each([
  ["works", [true]],
  ["no-frames", [true, false]],
])("frames of a plain film stay on the GPU where that %s", async (mode, tries) => {
  const clip = await box.clip("a.mp4", ...picture("64x64", 0.2), "-pix_fmt", "yuv420p", ...FAST);
  const env = { TEST_NVENC: mode };
  const answer = await box.convert(await box.put(clip), { resolution: "32x32" }, { bin: "ffmpeg", env });
  expect(answer).toMatchObject({ encoder: "h264_nvenc", width: 32, height: 32, warnings: [] });
  const calls = ((await box.noted()) as string[][]).filter((args) => args.includes("h264_nvenc"));
  const onGpu = calls.slice(1).map((args) => args.join(" ").includes("-hwaccel_output_format cuda"));
  expect(onGpu).toEqual(tries);
  expect(calls[1]?.join(" ")).toContain("scale_cuda=32:32:format=yuv420p,setsar=1");
});

test("NVENC that fails in the middle of the work is replaced once, with a warning", async () => {
  const path = await box.put(await box.clip("a.mp4", ...picture("64x64", 0.2), ...FAST));
  const answer = await box.convert(path, {}, { bin: "ffmpeg", env: { TEST_NVENC: "breaks" } });
  expect(answer).toMatchObject({ encoder: "libx264", warnings: ["NVENC failed, used libx264"] });
  expect(box.lines.join("\n")).toContain("OpenEncodeSessionEx failed");
  expect(await boxesOf(box.inVolume(answer.path))).toContain("moov");
});

test("an encoder that fails says why, and leaves no output", async () => {
  const path = await box.put(await box.clip("a.mp4", ...picture("64x64", 0.2), ...FAST));
  const env = { TEST_NVENC: "breaks", TEST_X264: "breaks" };
  const error = await box.refusal({ function: "convert", args: [path, "vo-test"], bin: "ffmpeg", env });
  expect(error).toEqual({ code: "ENGINE_FAILED", message: expect.stringMatching(/libx264.*malloc failed/) });
  await expect(readFile(box.inVolume("job-1/out/output.mp4"))).rejects.toThrow("ENOENT");
});
