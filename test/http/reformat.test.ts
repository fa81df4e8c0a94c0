import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../../src/index.ts";
import { DEFAULT_LAYOUT } from "../../src/job/transcribe-options.ts";
import { keptTranscripts } from "../../src/queue/kept-transcripts.ts";
import { writeKept } from "../../src/subtitles/kept.ts";
import { completed, startTestServer, type TestServer } from "../helpers/http/server.ts";

const sha256 = "0".repeat(64);
const sentence = "This sentence is long enough that it does not fit a narrow line.";
const words = sentence
  .split(" ")
  .map((text, n) => ({ start: 1 + n / 2, end: 1.4 + n / 2, text: ` ${text}` }));
const segments = [{ start: 1, end: 7.5, text: sentence, words }];
const kept = writeKept({
  engine: "test",
  layout: { ...DEFAULT_LAYOUT, max_lines: 1 },
  transcript: { v: 1, language: "en", segments },
});
const LIMITS = { ttlMs: 60_000, limitBytes: 2 ** 20 };

let server: TestServer;
let key: string;
beforeAll(async () => {
  server = await startTestServer();
  key = await server.key();
});
afterAll(async () => await server[Symbol.asyncDispose]());

const media = async (path: string) => await readFile(join(server.mediaRoot, path), "utf8");

/** A finished job that wrote `<name>.srt`, and whose segments are kept. */
async function finished(name: string): Promise<string> {
  const { id } = await server.jobs.submit("transcribe", { input: `${name}.mkv`, output: `out/${name}.srt` });
  await server.put(`out/${name}.srt`, "the job's own");
  const output = { path: `out/${name}.srt`, format: "srt", bytes: 13, sha256 } as const;
  await server.finish("transcribe", completed([output]));
  await keptTranscripts(server.redis, server.prefix, LIMITS).put(id, kept);
  return id;
}

describe("a finished transcript", () => {
  it("is written anew over HTTP in other formats and layouts, beside the job's own files", async () => {
    const id = await finished("film");
    await using client = await createClient({ apiUrl: server.http.apiUrl, apiKey: key });
    const outputs = await client.reformat(id, { formats: ["vtt", "txt"], max_line_width: 20, max_lines: 2 });
    expect(outputs.map(({ path }) => path)).toEqual(["out/film.vtt", "out/film.txt"]);
    expect(await media("out/film.txt")).toBe(`${sentence}\n`);
    const lines = (await media("out/film.vtt"))
      .split("\n")
      .filter((line) => /^[a-z]/iu.test(line))
      .slice(1);
    expect(lines.length).toBeGreaterThan(3);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(20);
    expect(lines.join(" ")).toBe(sentence);
    expect((await client.get(id)).outputs).toHaveLength(1);
    // The job's own layout counts where nothing else is said, its own file where nothing else is asked for.
    expect(await client.readTranscript(id)).toBe("the job's own");
    expect(await client.readTranscript(id, "srt", { max_line_width: 30 })).toMatch(/1\n.*\n.{10,30}\n\n2\n/u);
    expect(await client.readTranscript(id, "vtt", { word_times: true })).toContain("<00:00:01.500>");
    expect(await client.readTranscript(id, "txt", { partial: true })).toBe(`${sentence}\n`);
  });

  it("replaces no file unless it is told to, and none that a living job will write", async () => {
    const id = await finished("safe");
    const ask = async (body: object) => await server.ask("POST", `/v1/jobs/${id}/reformat`, { key, body });
    const refused = await ask({ formats: ["vtt", "srt"] });
    expect(refused).toMatchObject({ status: 400, json: { code: "OUTPUT_EXISTS" } });
    expect(await media("out/safe.srt")).toBe("the job's own");
    await expect(media("out/safe.vtt")).rejects.toThrow("ENOENT");
    expect(await ask({ formats: ["srt"], overwrite: true })).toMatchObject({ status: 201 });
    expect(await media("out/safe.srt")).toContain("This sentence");
    await server.put("safe.mkv", "the film");
    expect(await ask({ output: "../x.srt" })).toMatchObject({ json: { code: "PATH_OUTSIDE_MEDIA_ROOT" } });
    expect(await ask({ formats: ["srt"], max_lines: 0 })).toMatchObject({
      json: { code: "REQUEST_INVALID" },
    });
    const living = await server.jobs.submit("transcribe", { input: "other.mkv" });
    await server.redis.hset(`${server.prefix}:claims`, "out/claimed.vtt", `transcribe:${living.id}`);
    const claimed = await ask({ formats: ["vtt"], output: "out/claimed.vtt" });
    expect(claimed).toMatchObject({ status: 400, json: { code: "OUTPUT_CLAIMED" } });
    await server.jobs.cancel(living.id);
    expect(await ask({ formats: ["vtt"], output: "out/claimed.vtt" })).toMatchObject({ status: 201 });
  });

  it("is read and written over Redis too, and gone with its job", async () => {
    const id = await finished("redis");
    const options = { redisUrl: server.redisUrl, queuePrefix: server.prefix };
    await using client = await createClient(options);
    expect(await client.readTranscript(id, "txt")).toBe(`${sentence}\n`);
    await expect(client.reformat(id, { formats: ["vtt"] })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await using writer = await createClient({ ...options, mediaRoot: server.mediaRoot });
    expect(await writer.reformat(id, { formats: ["ass"] })).toMatchObject([{ path: "out/redis.ass" }]);
    await client.delete(id);
    expect(await server.redis.keys(`${server.prefix}:transcribe:${id}*`)).toEqual([]);
    await expect(client.readTranscript(id)).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
  });

  it("is kept as long as it may be, and the oldest makes room", async () => {
    const texts = keptTranscripts(server.redis, "{keep}", { ttlMs: 60_000, limitBytes: 400 });
    const noise = (seed: number) =>
      Array.from({ length: 150 }, (_, n) => String.fromCodePoint(33 + ((n * n * seed + n) % 90))).join("");
    for (const seed of [1, 2, 3, 4]) await texts.put(`job-${seed}`, noise(seed));
    await texts.put("job-4", noise(5));
    expect(await texts.get("job-1")).toBeNull();
    expect(await texts.get("job-4")).toBe(noise(5));
    const sizes = (await server.redis.hvals("{keep}:segments:sizes")).map(Number);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(400);
    await texts.put("huge", noise(7).repeat(2) + noise(11).repeat(3) + noise(13));
    const short = keptTranscripts(server.redis, "{keep}", { ttlMs: 20, limitBytes: 400 });
    await short.put("short", "x");
    await sleep(40);
    expect(await short.get("short")).toBeNull();
    const none = keptTranscripts(server.redis, "{none}", { ttlMs: 0, limitBytes: 400 });
    await none.put("none", "x");
    expect(await server.redis.keys("{none}*")).toEqual([]);
  });
});
