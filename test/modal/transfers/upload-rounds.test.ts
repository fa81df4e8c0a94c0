import { createHash } from "node:crypto";
import { appendFile, mkdtemp, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClientError, Status } from "nice-grpc";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BLOCK_BYTES } from "../../../src/modal/transfers/blocks.ts";
import { createTransferLimiter } from "../../../src/modal/transfers/transfer-limiter.ts";
import { streamInput } from "../../../src/modal/transfers/stream-input.ts";
import { uploadFile, uploadSource } from "../../../src/modal/transfers/upload.ts";
import { startHttpStore } from "../../helpers/modal/http-store.ts";
import { scriptedSession } from "../../helpers/modal/scripted-session.ts";

interface PutFiles2 {
  readonly files: {
    size: number;
    mode: number;
    blocks: { contentsSha256: Uint8Array; putResponse?: Uint8Array }[];
  }[];
}

const WRITTEN_AT = new Date(1_700_000_000_000);

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mirumoji-upload-"));
});
afterEach(async () => await rm(folder, { recursive: true }));

async function inputOf(bytes: Buffer): Promise<string> {
  const path = join(folder, "in.mkv");
  await writeFile(path, bytes);
  await utimes(path, WRITTEN_AT, WRITTEN_AT);
  return path;
}

/** Three blocks that differ, the middle one zeros only. */
const THREE_BLOCKS = Buffer.alloc(2 * BLOCK_BYTES + 7);
THREE_BLOCKS.fill("abc", 0, BLOCK_BYTES - 100);
THREE_BLOCKS.fill("xyz", 2 * BLOCK_BYTES);

/** The blocks that the request brings no proof for, with URLs of round `round`. */
function missingOf(request: PutFiles2, url: string, round: number): object {
  const blocks = request.files[0]?.blocks ?? [];
  return {
    missingBlocks: blocks.flatMap(({ putResponse }, blockIndex) =>
      putResponse === undefined
        ? [{ fileIndex: 0, blockIndex, putUrl: `${url}/${blockIndex}?${round}` }]
        : [],
    ),
  };
}

function upload(
  session: Parameters<typeof uploadFile>[0],
  localPath: string,
  signal = new AbortController().signal,
) {
  return uploadFile(session, createTransferLimiter(), {
    volumeId: "vo-1",
    remotePath: "in.mkv",
    localPath,
    signal,
  });
}

describe("uploading in rounds", () => {
  test("names stripped blocks by digest, sends them, and names them again with the store's answers", async () => {
    await using store = await startHttpStore(({ path }, response) => response.end(`proof of ${path}`));
    const requests: PutFiles2[] = [];
    const session = scriptedSession({
      volumePutFiles2: async (request: PutFiles2) => {
        requests.push(request);
        return missingOf(request, store.url, requests.length);
      },
    });
    const sent = await upload(session, await inputOf(THREE_BLOCKS));
    expect(sent).toEqual({ sizeBytes: THREE_BLOCKS.length, sentBytes: BLOCK_BYTES - 100 + 7 });
    const sha = (text: Buffer): Buffer => createHash("sha256").update(text).digest();
    const digests = [
      THREE_BLOCKS.subarray(0, BLOCK_BYTES - 100),
      Buffer.alloc(0),
      THREE_BLOCKS.subarray(-7),
    ].map(sha);
    expect(requests.map(({ files }) => files)).toMatchObject([
      [
        {
          size: THREE_BLOCKS.length,
          mode: 0o644,
          blocks: digests.map((digest) => ({ contentsSha256: new Uint8Array(digest) })),
        },
      ],
      [
        {
          blocks: [0, 1, 2].map((index) => ({
            putResponse: new Uint8Array(Buffer.from(`proof of /${index}?1`)),
          })),
        },
      ],
    ]);
  });

  test("gets new URLs for what is left when URLs expire on the way, and keeps what was stored", async () => {
    await using store = await startHttpStore(({ path }, response) => {
      response.writeHead(path === "/1?1" || path === "/2?1" ? 403 : 200).end("proof");
    });
    let round = 0;
    const session = scriptedSession({
      volumePutFiles2: async (request: PutFiles2) => missingOf(request, store.url, ++round),
    });
    await upload(session, await inputOf(THREE_BLOCKS));
    expect(store.requests.filter(({ path }) => path.startsWith("/0"))).toHaveLength(1);
    expect(store.requests.map(({ path }) => path)).toEqual(expect.arrayContaining(["/1?2", "/2?2"]));
  });

  test("reads a long file once, asks for URLs meanwhile, and never for a file that could be complete", async () => {
    await using store = await startHttpStore(({ path }, response) => response.end(`proof of ${path}`));
    const localPath = join(folder, "long");
    await writeFile(localPath, "");
    await truncate(localPath, 30 * BLOCK_BYTES - 1);
    const requests: PutFiles2[] = [];
    const session = scriptedSession({
      volumePutFiles2: async (request: PutFiles2) => {
        requests.push(request);
        return missingOf(request, store.url, requests.length);
      },
    });
    await upload(session, localPath);
    expect(store.requests).toHaveLength(30);
    const parts = requests.flatMap(({ files }) => files).filter(({ blocks }) => blocks.length < 30);
    expect(parts.length).toBeGreaterThan(1);
    const ofZeros = Buffer.from(createHash("sha256").digest());
    for (const { size, blocks } of parts) {
      const isUnknown = blocks.filter(({ contentsSha256 }) => !ofZeros.equals(contentsSha256));
      expect(isUnknown).toEqual([blocks.at(-1)]);
      expect(size).toBe((blocks.length - 1) * BLOCK_BYTES + 1);
    }
    // The cost of a request must not grow with the file: no block is named in two of them.
    expect(parts.reduce((named, { blocks }) => named + blocks.length - 1, 0)).toBe(30);
    // Each block went out while it was in memory: the file is named once, with every proof.
    expect(requests).toHaveLength(parts.length + 1);
    const whole = requests.at(-1)?.files[0];
    expect(whole).toMatchObject({ size: 30 * BLOCK_BYTES - 1 });
    expect(whole?.blocks.filter(({ putResponse }) => putResponse !== undefined)).toHaveLength(30);
  });

  test.each(["INVALID_ARGUMENT", "FAILED_PRECONDITION"] as const)(
    "names whole files to a server that answers parts with %s, and says so once",
    async (status) => {
      await using store = await startHttpStore(({ path }, response) => response.end(`proof of ${path}`));
      const localPath = join(folder, "long");
      await writeFile(localPath, "");
      await truncate(localPath, 30 * BLOCK_BYTES - 1);
      let parts = 0;
      const session = scriptedSession({
        volumePutFiles2: async (request: PutFiles2) => {
          if (request.files[0]?.size === 30 * BLOCK_BYTES - 1) return missingOf(request, store.url, 1);
          parts++;
          throw new ClientError("/VolumePutFiles2", Status[status], "the blocks are not those of a file");
        },
      });
      await upload(session, localPath);
      const afterFirst = parts;
      expect(store.requests).toHaveLength(30);
      await upload(session, localPath);
      expect(afterFirst).toBeGreaterThan(0);
      expect(parts).toBe(afterFirst);
      expect(session.warnings).toEqual([expect.stringContaining("named in parts")]);

      // Content that cannot be read twice goes through a file.
      const content = (async function* () {
        for (let piece = 0; piece < 30; piece++)
          yield Buffer.alloc(piece === 29 ? BLOCK_BYTES - 1 : BLOCK_BYTES);
      })();
      const source = streamInput(content, () => 0);
      const { signal } = new AbortController();
      const options = { volumeId: "vo-1", remotePath: "stream", source, signal };
      const sent = await uploadSource(session, createTransferLimiter(), options);
      expect(sent.sizeBytes).toBe(30 * BLOCK_BYTES - 1);
    },
  );

  test("sends nothing more in a round once a URL has expired", async () => {
    let wholeRounds = 0;
    await using store = await startHttpStore(({ path }, response) => {
      const isGood = path.endsWith("?whole2");
      response.writeHead(isGood ? 200 : 403).end("proof");
    });
    const localPath = join(folder, "zeros");
    await writeFile(localPath, "");
    await truncate(localPath, 30 * BLOCK_BYTES);
    const session = scriptedSession({
      volumePutFiles2: async (request: PutFiles2) => {
        const isWhole = request.files[0]?.blocks.length === 30;
        const { missingBlocks } = missingOf(request, store.url, 0) as { missingBlocks: { putUrl: string }[] };
        if (isWhole) wholeRounds++;
        const round = isWhole ? `whole${wholeRounds}` : "part";
        return {
          missingBlocks: missingBlocks.map((block) => ({
            ...block,
            putUrl: block.putUrl.replace("?0", `?${round}`),
          })),
        };
      },
    });
    await upload(session, localPath);
    // Blocks already in flight could not know.
    expect(store.requests.filter(({ path }) => path.endsWith("?whole1")).length).toBeLessThanOrEqual(8);
    expect(store.requests.filter(({ path }) => path.endsWith("?whole2"))).toHaveLength(30);
  });

  test("gives up on a volume that keeps missing what it was sent", async () => {
    await using store = await startHttpStore((_, response) => response.end("proof"));
    const session = scriptedSession({
      volumePutFiles2: async () => ({ missingBlocks: [{ fileIndex: 0, blockIndex: 0, putUrl: store.url }] }),
    });
    await expect(upload(session, await inputOf(Buffer.from("x")))).rejects.toMatchObject({
      code: "TRANSFER_FAILED",
    });
    expect(session.asked.length).toBeLessThan(6);
  });

  test("counts blocks that the volume has already as done and does not send them", async () => {
    await using store = await startHttpStore((_, response) => response.end("proof"));
    let round = 0;
    const session = scriptedSession({
      volumePutFiles2: async () => ({
        missingBlocks: ++round === 1 ? [{ fileIndex: 0, blockIndex: 2, putUrl: store.url }] : [],
      }),
    });
    const reports: number[] = [];
    const sent = await uploadFile(session, createTransferLimiter(), {
      volumeId: "vo-1",
      remotePath: "in.mkv",
      localPath: await inputOf(THREE_BLOCKS),
      signal: new AbortController().signal,
      onProgress: ({ doneBytes }) => reports.push(doneBytes),
    });
    expect(sent.sentBytes).toBe(7);
    expect(store.requests).toHaveLength(1);
    expect(reports[0]).toBe(BLOCK_BYTES);
    expect(reports.at(-1)).toBe(THREE_BLOCKS.length);
  });

  test("tells a volume that is gone from a server that is unwell", async () => {
    const answering = (status: Status) =>
      scriptedSession({
        volumePutFiles2: async () => {
          throw new ClientError("/VolumePutFiles2", status, "no such volume");
        },
      });
    const path = await inputOf(Buffer.from("x"));
    await expect(upload(answering(Status.NOT_FOUND), path)).rejects.toMatchObject({ code: "VOLUME_LOST" });
    await expect(upload(answering(Status.UNAVAILABLE), path)).rejects.toMatchObject({
      code: "MODAL_UNAVAILABLE",
    });
  });
});

describe("an input that changes under the upload is INPUT_CHANGED", () => {
  /** Changes the input when the volume has been told its digests. */
  async function uploadWhile(
    change: (path: string) => Promise<void>,
    isFirstUrlGood = true,
  ): Promise<unknown> {
    await using store = await startHttpStore(({ path }, response) => {
      response.writeHead(path.endsWith("?1") && !isFirstUrlGood ? 403 : 200).end("proof");
    });
    const localPath = await inputOf(Buffer.alloc(1000, "a"));
    let round = 0;
    const session = scriptedSession({
      volumePutFiles2: async (request: PutFiles2) => {
        if (++round === 1) await change(localPath);
        return missingOf(request, store.url, round);
      },
    });
    return await upload(session, localPath);
  }

  test("when a block that is read again has other bytes, though size and time are the same", async () => {
    const changing = uploadWhile(async (path) => {
      await writeFile(path, Buffer.alloc(1000, "b"));
      await utimes(path, WRITTEN_AT, WRITTEN_AT);
    }, false);
    await expect(changing).rejects.toMatchObject({ code: "INPUT_CHANGED" });
  });

  test("when it becomes shorter", async () => {
    const changing = uploadWhile(async (path) => await writeFile(path, "a"));
    await expect(changing).rejects.toMatchObject({ code: "INPUT_CHANGED" });
    await expect(changing).rejects.toThrow(/had 1000 bytes and has 1/);
  });

  test("when it was written again, though with the same bytes", async () => {
    const changing = uploadWhile(async (path) => await utimes(path, WRITTEN_AT, new Date()));
    await expect(changing).rejects.toMatchObject({ code: "INPUT_CHANGED" });
  });

  test("when it grows", async () => {
    await expect(uploadWhile(async (path) => await appendFile(path, "a"))).rejects.toMatchObject({
      code: "INPUT_CHANGED",
    });
  });
});

describe("an input that cannot be read", () => {
  test("has its own code", async () => {
    const session = scriptedSession({});
    await expect(upload(session, join(folder, "none"))).rejects.toMatchObject({ code: "INPUT_NOT_FOUND" });
    await expect(upload(session, folder)).rejects.toMatchObject({ code: "INPUT_NOT_A_FILE" });
  });
});
