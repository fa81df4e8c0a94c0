import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "../../support/folder.ts";
import { type Converted, Sandbox } from "../helpers/handler/handler.ts";
import { lavfi, options } from "../helpers/media/media-maker.ts";
import {
  beepsOf,
  colourAt,
  coloursOf,
  combedShare,
  flashesOf,
  peakOf,
  timesOf,
  tracksOf,
} from "../helpers/media/referee.ts";
import { zooMaker } from "../helpers/media/zoo.ts";

const FAST = options("-c:v libx264 -preset ultrafast -pix_fmt yuv420p");
let box: Sandbox;
let zoo: ReturnType<typeof zooMaker>;

beforeAll(async () => {
  const folder = await testFolder();
  box = new Sandbox(folder.path);
  zoo = zooMaker(folder.path);
  await zoo.base();
  return () => folder[Symbol.asyncDispose]();
});

/** Converts a file; gives the film on this machine. */
async function converted(path: string, wish: object = {}): Promise<Converted & { file: string }> {
  const name = `${Math.random().toString(36).slice(2)}${/\.\w+$/u.exec(path)?.[0] ?? ""}`;
  const answer = await box.convert(await box.put(path, name), { preset: "performance", ...wish });
  const file = join(box.root, `${name}.mp4`);
  await copyFile(box.inVolume(answer.path), file);
  return { ...answer, file, warnings: answer.warnings.filter((text) => !text.startsWith("no NVENC")) };
}

const near = (right: number, by: number) => expect.closeTo(right, by);

test.each([
  ["changes its channels", 0, 6],
  ["has a clock that jumps ahead", 40, 2],
  ["has a clock that goes back", -2, 2],
])("a broadcast that %s stays in step", async (_, offset, channels) => {
  const { file, warnings } = await converted(await zoo.broadcast(`b${offset}.ts`, offset, channels));
  const [beeps, flashes, times] = await Promise.all([beepsOf(file), flashesOf(file), timesOf(file)]);
  expect([beeps.length, flashes.length, times.length, warnings]).toEqual([2, 2, 100, []]);
  beeps.forEach((beep, at) => expect(Math.abs(beep - (flashes[at] ?? 0))).toBeLessThan(0.06));
  expect(Math.abs((beeps[1] ?? 0) - 3)).toBeLessThan(0.08);
});

test("frames that come when they like keep their times", async () => {
  const irregular = "select='isnan(prev_selected_t)+gte(t-prev_selected_t,0.017+0.07*random(1))'";
  const clip = await zoo.make(
    "vfr.webm",
    ...lavfi(`testsrc2=s=64x36:r=1000:d=3,${irregular}`),
    ...options("-fps_mode passthrough -c:v libvpx -b:v 100k"),
  );
  const right = await timesOf(clip);
  const times = await timesOf((await converted(clip)).file);
  expect(times.length).toBe(right.length);
  times.forEach((time, at) => expect(Math.abs(time - (right[at] ?? 0))).toBeLessThan(0.002));
});

test("fields become whole frames, of each a frame where that is asked for", async () => {
  const bar = `color=black:s=360x288:r=50:d=1.2[a];color=white:s=20x288:r=50:d=1.2[b];[a][b]overlay=x='mod(n*8,330)'`;
  const flagged = await zoo.make(
    "flagged.ts",
    ...lavfi(`${bar},interlace=scan=tff:lowpass=0,setfield=tff`),
    ...options("-c:v mpeg2video -flags +ildct+ilme -q:v 2"),
  );
  const silent = await zoo.make(
    "silent.mkv",
    ...lavfi(`${bar},interlace=scan=tff:lowpass=0,setfield=prog`),
    ...FAST,
  );
  for (const clip of [flagged, silent]) {
    expect(await combedShare(clip)).toBeGreaterThan(0.5);
    const { file } = await converted(clip);
    expect(await combedShare(file)).toBe(0);
    expect((await timesOf(file)).length).toBe(30);
  }
  const double = await converted(flagged, { deinterlace: "double" });
  expect((await timesOf(double.file)).length).toBeGreaterThan(58);
  // Turned by a player, its fields would be columns.
  const upright = await zoo.make("upright.mov", "-i", silent, ...options("-c copy"));
  const turned = await zoo.make("turned.mov", "-i", upright, ...options("-c copy -metadata:s:v rotate=90"));
  const film = await converted(turned);
  const back = await zoo.make("back.mkv", "-i", film.file, ...options("-vf transpose=clock"), ...FAST);
  expect([film.width, film.height, await combedShare(back)]).toEqual([288, 360, 0]);
});

test.each([
  ["smpte2084", 573],
  ["arib-std-b67", 721],
])("the reference white of %s is light in BT.709", async (curve, white) => {
  const tags = options(`-colorspace bt2020nc -color_primaries bt2020 -color_trc ${curve}`);
  const grey = `color=gray:s=64x64:r=25:d=0.4,format=yuv420p10le,lutyuv=y=${white}:u=512:v=512`;
  const x265 = `log-level=none:colorprim=bt2020:transfer=${curve}:colormatrix=bt2020nc`;
  const clip = await zoo.make(
    `${curve}.mp4`,
    ...lavfi(grey),
    ...options(`-c:v libx265 -preset ultrafast -x265-params ${x265}`),
    ...tags,
  );
  const { file, warnings } = await converted(clip);
  expect([await coloursOf(file), warnings]).toEqual(["tv,bt709,bt709,bt709", []]);
  for (const level of await colourAt(file, 30, 30)) expect(level).toBeGreaterThan(215);
});

test("colours stay what they are, whether they were RGB, untagged, or of full range", async () => {
  const halves = `color=0x00ff00:s=640x720:r=25:d=0.4[a];color=0xff0000:s=640x720:r=25:d=0.4[b];[a][b]hstack`;
  const rgb = await zoo.make("rgb.mkv", ...lavfi(`${halves},format=bgr0`), "-c:v", "ffv1");
  const yuv = async (name: string, range: string, pixels: string, ...tags: string[]) =>
    await zoo.make(
      name,
      "-i",
      rgb,
      "-vf",
      `scale=out_color_matrix=bt709:out_range=${range},format=${pixels}`,
      ...options("-c:v libx264 -qp 10 -preset ultrafast"),
      ...tags,
    );
  const untagged = await yuv("untagged.mp4", "tv", "yuv420p");
  const full = await yuv("full.mp4", "pc", "yuvj420p", ...options("-color_range pc -colorspace bt709"));
  for (const [clip, wish, width] of [
    [rgb, {}, 1280],
    [untagged, { resolution: "640x360" }, 640],
    [full, {}, 1280],
  ] as const) {
    const { file } = await converted(clip, wish);
    expect(await coloursOf(file)).toMatch(/^tv,bt709/u);
    const [green, red] = [await colourAt(file, width / 4, 100), await colourAt(file, (width * 3) / 4, 100)];
    expect([green, red]).toEqual([
      [near(0, -1), near(255, -1), near(0, -1)],
      [near(255, -1), near(0, -1), near(0, -1)],
    ]);
  }
});

test("primaries of telephones and UHD become those of BT.709", async () => {
  const patch = `color=0xb4503c:s=64x64:r=25:d=0.4,format=rgb24,scale=out_color_matrix=bt709:out_range=tv`;
  const clip = await zoo.make(
    "p3.mov",
    ...lavfi(`${patch},format=yuv420p`),
    ...options("-c:v libx264 -preset ultrafast -qp 5 -colorspace bt709 -color_primaries smpte432"),
    ...options("-color_trc iec61966-2-1"),
  );
  const { file } = await converted(clip);
  expect(await coloursOf(file)).toBe("tv,bt709,iec61966-2-1,bt709");
  // By the matrices of SMPTE EG 432-1 and BT.709, and the curve of IEC 61966-2-1.
  expect(await colourAt(file, 30, 30)).toEqual([near(194, -1), near(72, -1), near(52, -1)]);
});

test("a picture that changes its size keeps its shape", async () => {
  const part = async (name: string, size: string, offset: number) =>
    await readFile(
      await zoo.make(
        name,
        ...lavfi(`color=white:s=${size}:r=25:d=1`),
        ...options(`-c:v mpeg2video -output_ts_offset ${offset} -f mpegts`),
      ),
    );
  const path = join(box.root, "sizes.ts");
  const parts = [await part("p1.ts", "128x96", 0), await part("p2.ts", "128x72", 1)];
  await writeFile(path, Buffer.concat(parts));
  const { file, width, height } = await converted(path);
  expect([width, height]).toEqual([128, 96]);
  const late = await zoo.make("late.mp4", "-ss", "1.4", "-i", file, ...FAST);
  expect((await colourAt(late, 60, 4))[0]).toBeLessThan(40);
  expect((await colourAt(late, 60, 48))[0]).toBeGreaterThan(200);
});

test("the film, the main sound and what else a player can choose are kept, with their names", async () => {
  const poster = await zoo.make("poster.jpg", ...lavfi("color=red:s=60x80:d=0.04"), "-frames:v", "1");
  const film = await zoo.film("film.mkv");
  const subtitle = join(box.root, "late.srt");
  const text = "1\n00:00:01,000 --> 00:00:02,000\nhi\n\n2\n00:00:40,000 --> 00:01:00,000\nbye\n";
  await writeFile(subtitle, text);
  const clip = await zoo.make(
    "all.mkv",
    "-i",
    poster,
    "-i",
    film,
    ...lavfi("sine=300:d=4"),
    "-i",
    subtitle,
    ...options("-map 0:v -map 1:v -map 2:a -map 1:a -map 3 -c:v copy -c:a aac -c:s srt"),
    ...options(
      "-disposition:v:0 0 -disposition:v:1 default -disposition:a:0 comment -disposition:a:1 default",
    ),
    ...options(
      "-metadata:s:a:0 language=en-US -metadata:s:a:0 title=Commentary -metadata:s:a:1 language=ja-JP",
    ),
    ...options("-metadata:s:s:0 language=eng"),
  );
  const { file, tracks, warnings } = await converted(clip);
  expect(warnings).toEqual([]);
  expect(tracks?.map(({ kind, number }) => [kind, number])).toEqual([
    ["video", 2],
    ["audio", 2],
    ["audio", 1],
    ["subtitle", 1],
  ]);
  expect(await tracksOf(file)).toEqual([
    expect.stringMatching(/^h264,video,1/u),
    expect.stringMatching(/^aac,audio,1,jpn/u),
    expect.stringMatching(/^aac,audio,0,eng,Commentary/u),
    expect.stringMatching(/^mov_text,subtitle,\d,eng/u),
  ]);
  const [beeps, flashes] = await Promise.all([beepsOf(file), flashesOf(file)]);
  expect(beeps.map((beep, number) => beep - (flashes[number] ?? 0))).toEqual([near(0, 2), near(0, 2)]);
  expect((await timesOf(file)).length).toBe(100);
  const one = await converted(clip, { keep_all_audio: false, keep_subtitles: false, audio_track: 1 });
  expect((await tracksOf(one.file)).length).toBe(2);
  expect(one.tracks?.[1]).toMatchObject({ number: 1, title: "Commentary", why: "asked for" });
  const refused = await box.refusal({
    function: "convert",
    args: [await box.put(clip, "x.mkv"), "vo-test", { audio_track: 9 }],
  });
  expect(refused).toEqual({ code: "TRACK_NOT_FOUND", message: expect.stringContaining("there are: 1, 2") });
});

test("a picture that shows late is found, and stays late", async () => {
  const clip = await zoo.make(
    "late.ts",
    ...lavfi("sine=440:d=62"),
    "-itsoffset",
    "60",
    ...lavfi("testsrc2=s=64x36:r=25:d=2"),
    ...options("-map 0 -map 1 -c:a ac3 -b:a 640k"),
    ...FAST,
    ...options("-f mpegts"),
  );
  const times = await timesOf((await converted(clip)).file);
  expect([times.length, times[0]]).toEqual([50, near(60, 1)]);
});

test("a mix of many channels is as loud as they are, and never clips", async () => {
  const wave = "sin(2*PI*500*t)";
  const of = async (name: string, gains: string, more: string[] = []) => {
    const sound = lavfi(`aevalsrc='${gains}':s=48000:d=1:c=5.1`);
    return await zoo.make(
      name,
      ...lavfi("color=gray:s=64x36:r=25:d=1"),
      ...sound,
      ...FAST,
      ...options("-map 0 -map 1 -c:a flac"),
      ...more,
    );
  };
  const left = await converted(await of("left.mkv", `0.5*${wave}|0|0|0|0|0`));
  expect(await peakOf(left.file)).toBeCloseTo(-6, 0);
  const all = await converted(await of("all.mkv", Array.from({ length: 6 }, () => `0.99*${wave}`).join("|")));
  expect(await peakOf(all.file)).toBeLessThanOrEqual(0);
});

test("a film whose packets are rubbish says how little of it was seen", async () => {
  const film = await zoo.film("whole.mkv", "-g", "10");
  const noise = options("-map 0:v -map 0:a -map 0:a -c copy -bsf:v noise=amount=5 -bsf:a:1 noise=amount=1");
  const { warnings } = await converted(await zoo.make("rubbish.mkv", "-i", film, ...noise));
  expect(warnings).toEqual([
    expect.stringMatching(/^only \d+ of 100 pictures could be decoded; the file is damaged$/u),
    "only 1 of 2 audio tracks could be decoded; the file is damaged",
  ]);
});

test("a film that fits is copied in no time, and one that does not is encoded with the reason", async () => {
  const film = await zoo.film("fits.mkv");
  const copied = await converted(film, { copy: true, codec: "h264" });
  expect(copied).toMatchObject({ encoder: "copy", warnings: [] });
  expect((await timesOf(copied.file)).length).toBe(100);
  const smaller = await converted(film, { copy: true, resolution: "32x32", crf: 30 });
  expect(smaller).toMatchObject({
    encoder: "libx264",
    warnings: [expect.stringMatching(/^encoded, not copied: 64x36/u)],
  });
  expect((await converted(film, { codec: "hevc", crf: 30 })).encoder).toBe("libx265");
});
