import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MirumojiError, toMirumojiError } from "../../src/job/errors.ts";
import type { OutputUpload } from "../../src/job/facts.ts";
import { openElsewhere } from "../../src/media/elsewhere/elsewhere.ts";
import { createMediaFiles } from "../../src/media/media-files.ts";
import { openMediaRoot } from "../../src/media/media-root.ts";
import { openOutbound } from "../../src/net/outbound.ts";
import type { InputFile } from "../../src/ports/media.ts";
import { testFolder } from "../../support/folder.ts";
import { BUCKET, S3_KEYS, startS3Server } from "../helpers/media/s3-server.ts";

const run = promisify(execFile);
const signal = new AbortController().signal;

let server: Awaited<ReturnType<typeof startS3Server>>;
let client: S3Client;
let film: Buffer;
beforeAll(async () => {
  server = await startS3Server();
  client = new S3Client({
    endpoint: server.endpoint,
    region: "us-east-1",
    credentials: { ...S3_KEYS },
    forcePathStyle: true,
  });
  await using folder = await testFolder();
  const path = join(folder.path, "film.mkv");
  const source = "-f lavfi -i color=red:s=320x180:r=10:d=2 -f lavfi -i sine=440:d=2 -c:v rawvideo -c:a aac";
  await run("ffmpeg", ["-v", "error", "-nostdin", ...source.split(" "), path]);
  film = await readFile(path);
  await put("film.mkv", film);
});
afterAll(async () => {
  client.destroy();
  await server[Symbol.asyncDispose]();
});

const put = async (Key: string, Body: Buffer | string) =>
  await client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body }));
const get = async (Key: string) => {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
};
const isThere = async (Key: string) =>
  await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key })).then(
    () => true,
    () => false,
  );
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const fill = (content: Buffer | string) => async (handle: FileHandle) => {
  await handle.writeFile(content);
};

async function setup(connection: object = {}) {
  const root = await testFolder();
  const elsewhere = openElsewhere({
    outbound: openOutbound({ privateNetworks: ["127.0.0.0/8"], connectMs: 5000 }),
    connections: { media: { endpoint: server.endpoint, region: "us-east-1", ...S3_KEYS, ...connection } },
    maxBytes: 2 ** 30,
  });
  const media = createMediaFiles(await openMediaRoot(root.path), elsewhere);
  const noted: OutputUpload[] = [];
  const uploads = {
    begun: [] as OutputUpload[],
    note: async (upload: OutputUpload) => void noted.push(upload),
  };
  const rules = { jobId: "job-1", input: "film.mkv", overwrite: false, uploads, signal };
  type Write = Partial<Parameters<typeof media.writeOutputs>[0]>;
  return {
    root: root.path,
    noted,
    open: async (path: string) => await media.openInput({ path, needs: "audio", signal }),
    check: async (path: string, changes: Write = {}) =>
      await media.checkOutputs({ ...rules, ...changes, outputs: [{ path, format: "srt" }] }),
    write: async (contents: Record<string, Buffer | string | (() => never)>, changes: Write = {}) =>
      await media.writeOutputs({
        ...rules,
        ...changes,
        outputs: Object.entries(contents).map(([path, content]) => ({
          output: { path, format: "srt" as const },
          fill: typeof content === "function" ? async () => await Promise.resolve(content()) : fill(content),
        })),
      }),
    [Symbol.asyncDispose]: async () => {
      await elsewhere.close();
      await root[Symbol.asyncDispose]();
    },
  };
}

async function codeOf(action: Promise<unknown>): Promise<string> {
  return await action.then(
    () => "accepted",
    (error: unknown) => toMirumojiError(error).code,
  );
}

async function audioOf(input: InputFile): Promise<Buffer> {
  const track = await input.openAudio({ isForced: true, signal });
  const pieces: Uint8Array[] = [];
  for await (const piece of track?.content ?? []) pieces.push(piece);
  await track?.close();
  return Buffer.concat(pieces);
}

describe("an input in a store", () => {
  it("gives its sound and its bytes", async () => {
    await using test = await setup();
    await using input = await test.open(`s3://media/${BUCKET}/film.mkv`);
    expect(input.seconds).toBeCloseTo(2, 0);
    expect((await audioOf(input)).subarray(0, 4).toString()).toBe("fLaC");
    const pieces: Uint8Array[] = [];
    for await (const piece of input.elsewhere?.read(signal) ?? []) pieces.push(piece);
    expect(sha256(Buffer.concat(pieces))).toBe(sha256(film));
    expect(input.elsewhere?.identity).toMatchObject({ sizeBytes: film.length });
    expect(await readdir(test.root)).toEqual([]);
  });

  it("that is replaced while it is read is an error of the job", async () => {
    await using test = await setup();
    await put("changing.mkv", film);
    await using input = await test.open(`s3://media/${BUCKET}/changing.mkv`);
    await put("changing.mkv", Buffer.concat([film, Buffer.alloc(10)]));
    const read = async () => {
      for await (const _piece of input.elsewhere?.read(signal) ?? []);
    };
    expect(await codeOf(read())).toBe("INPUT_CHANGED");
  });

  it("says what is wrong with the connection, the bucket or the key", async () => {
    await using test = await setup({ buckets: [BUCKET, "missing"] });
    expect(await codeOf(test.open(`s3://other/${BUCKET}/film.mkv`))).toBe("CONNECTION_UNKNOWN");
    expect(await codeOf(test.open("s3://media/others/film.mkv"))).toBe("CONNECTION_UNKNOWN");
    expect(await codeOf(test.open("s3://media/missing/film.mkv"))).toBe("INPUT_NOT_FOUND");
    expect(await codeOf(test.open(`s3://media/${BUCKET}/none.mkv`))).toBe("INPUT_NOT_FOUND");
    await using wrong = await setup({ secretAccessKey: "wrong" });
    expect(await codeOf(wrong.open(`s3://media/${BUCKET}/film.mkv`))).toBe("STORE_REFUSED");
    await using away = await setup({ endpoint: "http://127.0.0.1:1" });
    expect(await codeOf(away.open(`s3://media/${BUCKET}/film.mkv`))).toBe("STORE_UNAVAILABLE");
  });
});

describe("outputs in a store", () => {
  it("are written whole, small and large", async () => {
    await using test = await setup();
    const large = randomBytes(20 * 2 ** 20);
    const written = await test.write({
      [`s3://media/${BUCKET}/a/film.srt`]: "subtitles",
      [`s3://media/${BUCKET}/a/film.vtt`]: large,
    });
    expect(written).toEqual([
      {
        path: `s3://media/${BUCKET}/a/film.srt`,
        format: "srt",
        bytes: 9,
        sha256: sha256(Buffer.from("subtitles")),
      },
      { path: `s3://media/${BUCKET}/a/film.vtt`, format: "srt", bytes: large.length, sha256: sha256(large) },
    ]);
    expect(await isThere("a/film.srt")).toBe(true);
    expect((await get("a/film.srt")).toString()).toBe("subtitles");
    expect(sha256(await get("a/film.vtt"))).toBe(sha256(large));
    const { Metadata } = await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: "a/film.vtt" }));
    expect(Metadata?.["mirumoji-sha256"]).toBe(sha256(large));
    // Written down before the first part was sent.
    expect(test.noted).toEqual([
      { path: `s3://media/${BUCKET}/a/film.vtt`, id: expect.any(String) as string },
    ]);
    expect(await readdir(test.root)).toEqual([]);
  });

  it("are published all or none", async () => {
    await using test = await setup();
    const failing = (): never => {
      throw new MirumojiError("TRANSFER_FAILED", "cut off");
    };
    const contents = {
      [`s3://media/${BUCKET}/none/film.srt`]: "subtitles",
      [`s3://media/${BUCKET}/none/film.json`]: Buffer.alloc(9 * 2 ** 20),
      [`s3://media/${BUCKET}/none/film.vtt`]: failing,
    };
    expect(await codeOf(test.write(contents))).toBe("TRANSFER_FAILED");
    expect(
      await codeOf(test.write(contents, { signal: AbortSignal.abort(new MirumojiError("CANCELLED", "")) })),
    ).toBe("CANCELLED");
    for (const end of ["srt", "json", "vtt"]) expect(await isThere(`none/film.${end}`)).toBe(false);
  });

  it("replace nothing that is there, unless they may", async () => {
    await using test = await setup();
    const path = `s3://media/${BUCKET}/there.srt`;
    await put("there.srt", "of a user");
    expect(await codeOf(test.check(path))).toBe("OUTPUT_EXISTS");
    expect(await codeOf(test.write({ [path]: "ours" }))).toBe("OUTPUT_WRITE_FAILED");
    expect((await get("there.srt")).toString()).toBe("of a user");
    expect(await test.check(path, { overwrite: true })).toEqual([path]);
    await test.write({ [path]: "ours" }, { overwrite: true });
    expect((await get("there.srt")).toString()).toBe("ours");
    // Its own of an earlier try.
    await test.write({ [path]: "ours" });
    expect(await codeOf(test.check(path))).toBe("accepted");
    expect(await codeOf(test.check(path, { jobId: "job-2" }))).toBe("OUTPUT_EXISTS");
  });

  it("go to a signed URL in one piece", async () => {
    await using test = await setup();
    const url = await getSignedUrl(client, new PutObjectCommand({ Bucket: BUCKET, Key: "signed.srt" }));
    const [checked] = await test.check(url);
    const [written] = await test.write({ [url]: "by URL" });
    expect((await get("signed.srt")).toString()).toBe("by URL");
    expect(checked).toBe(`${server.endpoint}/${BUCKET}/signed.srt?[hidden]`);
    expect(written?.path).toBe(checked);
    const forged = url.replace(/Signature=\w/u, "Signature=_");
    expect(await codeOf(test.write({ [forged]: "x" }))).toBe("OUTPUT_URL_DENIED");
    expect(await codeOf(test.check("https://127.0.0.2.example.invalid.:99999/"))).toBe("REQUEST_INVALID");
    expect(await codeOf(test.check("http://10.0.0.1/x.srt"))).toBe("URL_NOT_ALLOWED");
  });
});
