import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseSync } from "subtitle";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type DevServices, expectNothingLeft, SAMPLE, startDev } from "../../support/dev.ts";
import { LAUNCHER } from "../../support/programs.ts";
import { startLanguageModel } from "../helpers/language-model.ts";
import { expectBooksCleared } from "../../support/redis.ts";

const run = promisify(execFile);
const sample = z
  .object({ text: z.string(), keywords: z.array(z.string()).min(3) })
  .parse(JSON.parse(await readFile(SAMPLE.replace(/\.mp4$/u, ".json"), "utf8")));

let dev: DevServices;
let model: Awaited<ReturnType<typeof startLanguageModel>>;
beforeAll(async () => {
  model = await startLanguageModel(({ lines }) => lines.map(({ id, text }) => ({ id, text: `¡${text}!` })));
  const settings = {
    MIRUMOJI_LLM_URL: model.url,
    MIRUMOJI_LLM_KEY: "sk-e2e",
    MIRUMOJI_LLM_PRICES: "1,2",
  };
  dev = await startDev(settings, { program: LAUNCHER });
});
afterAll(async () => {
  await dev[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

const media = async (path: string) => await readFile(join(dev.ready.mediaRoot, path));

describe("a transcribe job", () => {
  it("gives every format from one GPU run, with the words that were spoken", async () => {
    await mkdir(join(dev.ready.mediaRoot, "talk"));
    await copyFile(SAMPLE, join(dev.ready.mediaRoot, "talk/hello there.mp4"));
    const formats = ["srt", "vtt", "json", "txt", "joined"] as const;
    const { id } = await dev.client.submit("transcribe", {
      input: "talk/hello there.mp4",
      language: "en",
      formats: [...formats],
    });
    const states: string[] = [];
    const job = await dev.client.wait(id, { pollMs: 50, onChange: ({ state }) => states.push(state) });
    expect(job).toMatchObject({ status: "completed", state: "completed", error: null, type: "transcribe" });
    expect(job.report).toMatchObject({ engine: "pocketsphinx" });
    expect(states).toContain("call");

    const names = [
      "hello there.srt",
      "hello there.vtt",
      "hello there.json",
      "hello there.txt",
      "hello there.joined.txt",
    ];
    expect(job.outputs.map(({ path }) => path)).toEqual(names.map((name) => `talk/${name}`));
    for (const { path, bytes, sha256 } of job.outputs) {
      const data = await media(path);
      expect(data.length).toBe(bytes);
      expect(createHash("sha256").update(data).digest("hex")).toBe(sha256);
    }
    const text = (await media("talk/hello there.txt")).toString().toLowerCase();
    for (const word of sample.keywords) expect(text).toContain(word.toLowerCase());
    for (const extension of ["srt", "vtt"]) {
      const cues = parseSync((await media(`talk/hello there.${extension}`)).toString()).filter(
        ({ type }) => type === "cue",
      );
      expect(cues.length).toBeGreaterThan(1);
      const starts = cues.map(({ data }) => (typeof data === "string" ? 0 : data.start));
      expect(starts).toEqual(starts.toSorted((a, b) => a - b));
    }
    const joined = (await media("talk/hello there.joined.txt")).toString();
    expect(joined.split("。")).toEqual(
      (await media("talk/hello there.txt")).toString().trimEnd().split("\n"),
    );
    // Other formats later need no other call.
    const narrow = ["--format", "srt,ass", "--max-line-width", "16", "--output", "talk/narrow"];
    const { code, stdout, stderr } = await dev.command("reformat", id, ...narrow);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("talk/narrow.ass");
    const lines = (await media("talk/narrow.srt")).toString().split("\n");
    expect(lines.filter((line) => line.length > 16 && !line.includes("-->"))).toEqual([]);
    const again = await dev.command("reformat", id, ...narrow, "--json");
    expect([again.code, JSON.parse(again.stdout)]).toMatchObject([1, { error: { code: "OUTPUT_EXISTS" } }]);
    const { calls } = await dev.stats();
    expect(calls.list.filter(({ path }) => path === `${id}/hello there.mp4`)).toHaveLength(1);
  });
});

interface Spoken {
  readonly language: string;
  readonly segments: { start: number; end: number; text: string; words?: unknown }[];
}

describe("a transcribe job with a language model", () => {
  it("keeps the times of what is translated, and reports what it cost", async () => {
    const { id } = await dev.client.submit("transcribe", {
      input: "talk/hello there.mp4",
      output: "talk/es.json",
      language: "en",
      formats: ["json"],
      fix: true,
      translate_to: "es",
    });
    const job = await dev.client.wait(id, { pollMs: 50 });
    expect(job).toMatchObject({ status: "completed", report: { warnings: [] } });
    const [heard, edited] = (await Promise.all([media("talk/hello there.json"), media("talk/es.json")])).map(
      (text) => JSON.parse(text.toString()) as Spoken,
    );
    const times = (spoken?: Spoken) => spoken?.segments.map(({ start, end }) => [start, end]);
    expect(times(edited)).toEqual(times(heard));
    expect(edited?.language).toBe("es");
    expect(edited?.segments.map(({ text }) => text)).toEqual(heard?.segments.map(({ text }) => `¡${text}!`));
    expect(job.report?.edit).toEqual({
      model: "gpt-4o-mini",
      fixed: true,
      translatedTo: "es",
      sentences: heard?.segments.length,
      inputTokens: 100,
      outputTokens: 50,
      usd: 0.0002,
    });
    expect(model.requests).toMatchObject([{ authorization: "Bearer sk-e2e" }]);
    expect(await dev.client.readTranscript(id, "txt")).toContain("¡");
    expect(dev.log()).not.toContain("sk-e2e");
  });
});

describe("a convert job", () => {
  it("gives H.264 and AAC in MP4, never larger than asked, and says what encoded it", async () => {
    await dev.put("film.mp4");
    const { id } = await dev.client.submit("convert", {
      input: "film.mp4",
      output: "out/small.mp4",
      resolution: "320x240",
      target_bitrate: "300k",
      preset: "performance",
    });
    const job = await dev.client.wait(id, { pollMs: 100 });
    expect(job).toMatchObject({ status: "completed", outputs: [{ path: "out/small.mp4" }] });
    expect(job.report).toMatchObject({ engine: "libx264", warnings: ["no NVENC, used libx264"] });
    const { stdout } = await run("ffprobe", [
      "-v",
      "error",
      "-show_entries",
      "stream=codec_name,width,height",
      "-of",
      "json",
      join(dev.ready.mediaRoot, "out/small.mp4"),
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      streams: [{ codec_name: "h264", width: 320, height: 180 }, { codec_name: "aac" }],
    });
  });
});

describe("the commands", () => {
  it("submit, wait, status and list speak JSON", async () => {
    await dev.put("cli.mp4");
    const waited = await dev.command(
      "submit",
      "transcribe",
      "cli.mp4",
      "--language",
      "en",
      "--wait",
      "--json",
    );
    expect(waited.code).toBe(0);
    const job = JSON.parse(waited.stdout) as { id: string };
    expect(job).toMatchObject({ type: "transcribe", status: "completed", input: "cli.mp4", error: null });
    const status = await dev.command("status", job.id, "--json");
    expect(JSON.parse(status.stdout)).toEqual(job);
    const queued = await dev.command("submit", "convert", "cli.mp4", "--resolution", "64x64", "--json");
    const submitted = JSON.parse(queued.stdout) as { id: string; type: string };
    expect(submitted).toEqual({ id: submitted.id, type: "convert", created: true });
    expect((await dev.client.wait(submitted.id)).status).toBe("completed");
    const list = JSON.parse((await dev.command("list", "--json")).stdout) as { id: string }[];
    expect(list.map(({ id }) => id)).toEqual(expect.arrayContaining([job.id, submitted.id]));
  });

  it("account for every call in receipts, and sum them up", async () => {
    const jobs = (await dev.client.list({ limit: 1000 })).filter(({ status }) => status === "completed");
    for (const { receipt, report } of jobs) {
      expect(receipt).toMatchObject({
        calls: [{ outcome: "succeeded", gpu: "own", usd: 0 }],
        sentBytes: report?.sentBytes,
        openCallId: null,
        volumeDeleted: true,
      });
      const [call] = receipt?.calls ?? [];
      expect(receipt?.parts).toEqual(call?.parts);
      const { coldStart = NaN, download = NaN, load = NaN, compute = NaN, upload = NaN } = call?.parts ?? {};
      expect(coldStart + download + load + compute + upload).toBeCloseTo(
        (call?.waitSeconds ?? NaN) + (call?.seconds ?? NaN),
      );
      expect(compute).toBeGreaterThanOrEqual((report?.gpuSeconds ?? NaN) - 0.01);
    }
    const calls = (await dev.client.list({ limit: 1000 })).flatMap(({ receipt }) => receipt?.calls ?? []);
    expect(calls.length).toBeGreaterThan(0);
    const rows = JSON.parse((await dev.command("costs", "--by", "type", "--json")).stdout) as {
      calls: number;
      gpuSeconds: number;
    }[];
    expect(rows.reduce((sum, row) => sum + row.calls, 0)).toBe(calls.length);
    const seconds = calls.reduce((sum, call) => sum + call.seconds, 0);
    expect(rows.reduce((sum, row) => sum + row.gpuSeconds, 0)).toBeCloseTo(seconds, 1);
    expect((await dev.command("costs")).stdout).toMatch(/calls .* USD/u);
  });

  it("make a batch of a folder, in the order in which people count", async () => {
    const folder = join(dev.ready.mediaRoot, "season");
    await mkdir(join(folder, "more"), { recursive: true });
    for (const name of ["ep10.MKV", "ep2.mkv", "notes.txt", "more/ep1.mkv"]) {
      await copyFile(SAMPLE, join(folder, name));
    }
    const inputsOf = async (...options: string[]) => {
      const flags = ["--request", '{"copy":true}', "--dry-run", ...options];
      const { stdout } = await dev.command("batch", "folder", "convert", "season", ...flags);
      return (JSON.parse(stdout) as { items: { request: object }[] }).items.map(({ request }) => request);
    };
    expect(await inputsOf()).toEqual([
      { copy: true, input: "season/ep2.mkv" },
      { copy: true, input: "season/ep10.MKV" },
    ]);
    expect(await inputsOf("--glob", "**/*1.mkv")).toEqual([{ copy: true, input: "season/more/ep1.mkv" }]);
    const outside = await dev.command("batch", "folder", "convert", "..", "--json");
    expect(outside.code).not.toBe(0);
    expect(outside.stderr).toContain("PATH_OUTSIDE_MEDIA_ROOT");
  });

  it("show people what they need", async () => {
    await dev.put("people.mp4");
    const waited = await dev.command("submit", "transcribe", "people.mp4", "--language", "en", "--wait");
    expect(waited.stdout).toMatch(/completed/u);
    expect(waited.stdout).toMatch(/people\.srt/u);
    expect(waited.stderr).toMatch(/upload/u);
    expect((await dev.command("doctor")).code).toBe(0);
    expect((await dev.command("--help")).stdout).toMatch(/submit/u);
  });
});

describe("what is served", () => {
  it("answers health, metrics, the job API and Bull Board", async () => {
    const get = async (url: string) => await fetch(url);
    expect((await get(`${dev.ready.apiUrl}/livez`)).status).toBe(200);
    expect(await (await get(`${dev.ready.apiUrl}/readyz`)).json()).toEqual({
      ok: true,
      checks: { redis: null, consumers: null, modal: null, intake: null, disk: null, draining: null },
    });
    expect(await (await get(dev.ready.metricsUrl)).text()).toMatch(
      /mirumoji_jobs_finished_total\{type="transcribe",status="completed",code="none"\} \d/u,
    );
    expect((await get(`${dev.ready.apiUrl}/api/jobs/nobody`)).status).toBe(404);
    const board = await get(dev.ready.boardUrl);
    expect(board.status).toBe(200);
    expect(await board.text()).toMatch(/mirumoji-worker/u);
    const unauthorised = await get(dev.ready.statsUrl.replace(/token=.*/u, "token=wrong"));
    expect(unauthorised.status).toBe(401);
  });
});

it("leaves nothing behind but outputs and finished jobs", async () => {
  await expectNothingLeft(dev);
  await expectBooksCleared(dev.ready.redisUrl);
});
