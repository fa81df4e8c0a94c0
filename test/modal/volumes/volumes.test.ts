import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";
import { open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { abortLatency } from "../../helpers/modal/abort-latency.ts";
import { MirumojiError } from "../../../src/job/errors.ts";
import { type ModalVolumes, modalVolumes } from "../../../src/modal/volumes/volumes.ts";
import type { TransferProgress } from "../../../src/ports/volumes.ts";
import { type HostForTests, startHostForTests } from "../../helpers/modal/gpu-host.ts";
import { scriptedSession } from "../../helpers/modal/scripted-session.ts";

const MiB = 1024 * 1024;
const { signal } = new AbortController();

let host: HostForTests;
let volumes: ModalVolumes;
let volumeId: string;
beforeAll(async () => {
  host = await startHostForTests();
  volumes = modalVolumes(host.session);
  ({ volumeId } = await volumes.create({ signal }));
});
afterEach(async () => await host.clearFaults());
afterAll(async () => await host[Symbol.asyncDispose]());

async function put(
  bytes: Buffer,
  remotePath: string,
  more: Partial<Parameters<ModalVolumes["putFile"]>[0]> = {},
) {
  const localPath = join(host.folder, "in");
  await writeFile(localPath, bytes);
  return await volumes.putFile({ volumeId, remotePath, localPath, signal, ...more });
}

/** Fetches the volume's content at a path into a new file. */
async function get(
  remotePath: string,
  more: Partial<Parameters<ModalVolumes["getFile"]>[0]> = {},
): Promise<Buffer> {
  const localPath = join(host.folder, `out-${randomBytes(4).toString("hex")}`);
  const into = await open(localPath, "wx");
  try {
    const { sizeBytes } = await volumes.getFile({ volumeId, remotePath, into, signal, ...more });
    const bytes = await readFile(localPath);
    expect(bytes.length).toBe(sizeBytes);
    return bytes;
  } finally {
    await into.close();
    await rm(localPath);
  }
}

function same(one: Buffer, other: Buffer): boolean {
  return Buffer.compare(one, other) === 0;
}

/** 17 MiB: random, a block of zeros only, random with zeros at the end. */
const MIXED = Buffer.concat([
  randomBytes(8 * MiB),
  Buffer.alloc(8 * MiB),
  randomBytes(900_000),
  Buffer.alloc(148_576),
]);

describe("a file comes back byte for byte", () => {
  test.each([
    ["empty", Buffer.alloc(0), 0],
    ["of one byte", Buffer.from("x"), 1],
    ["of one zero", Buffer.alloc(1), 0],
    ["of exactly 8 MiB", Buffer.concat([randomBytes(8 * MiB - 1), Buffer.from([1])]), 8 * MiB],
    ["of 8 MiB and a byte", Buffer.concat([randomBytes(8 * MiB - 1), Buffer.from([1, 1])]), 8 * MiB + 1],
    ["of zeros only", Buffer.alloc(12 * MiB), 0],
    ["with zeros at its end", Buffer.concat([Buffer.from("abc"), Buffer.alloc(5000)]), 3],
    ["of 17 MiB with a block of zeros", MIXED, undefined],
  ])("%s", async (name, bytes, sentBytes) => {
    const sent = await put(bytes, `sizes/${name}`);
    expect(sent.sizeBytes).toBe(bytes.length);
    if (sentBytes !== undefined) expect(sent.sentBytes).toBe(sentBytes);
    expect(same(await get(`sizes/${name}`), bytes)).toBe(true);
  });

  test.each([
    "a.mkv",
    "/with/a/leading/slash.mkv",
    "日本語/映画 🎬 – Ünïcödé.mkv",
    "with spaces/and 'quotes' \"too\".mkv",
    `${Array.from({ length: 40 }, (_, index) => `level${index}`).join("/")}/deep.mkv`,
  ])("under the path %s", async (path) => {
    const bytes = Buffer.from(path);
    await put(bytes, path);
    expect(same(await get(path), bytes)).toBe(true);
  });

  test("after it was replaced by another one", async () => {
    await put(randomBytes(9 * MiB), "replaced");
    const shorter = randomBytes(3000);
    await put(shorter, "replaced");
    expect(same(await get("replaced"), shorter)).toBe(true);
  });
});

describe("content that is made while it is sent", () => {
  /** In pieces that fit no block. */
  async function* inPieces(bytes: Buffer): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += 300_007) {
      yield await Promise.resolve(bytes.subarray(at, at + 300_007));
    }
  }
  const send = async (content: AsyncIterable<Uint8Array>, remotePath: string, stop = signal) =>
    await volumes.putStream({ volumeId, remotePath, content, expectedBytes: () => 1_000_000, signal: stop });

  test.each([
    ["nothing", Buffer.alloc(0)],
    ["a byte", Buffer.from("x")],
    ["exactly 8 MiB", randomBytes(8 * MiB)],
    ["8 MiB and a byte", randomBytes(8 * MiB + 1)],
    ["more than fits into memory at once", Buffer.concat([MIXED, randomBytes(90 * MiB + 1)])],
  ])("comes back byte for byte: %s", async (name, bytes) => {
    expect((await send(inPieces(bytes), `made/${name}`)).sizeBytes).toBe(bytes.length);
    expect(same(await get(`made/${name}`), bytes)).toBe(true);
  });

  test("is not sent again when it is made again", async () => {
    // No block ends in a zero, which would not travel.
    const bytes = randomBytes(70 * MiB);
    for (let end = bytes.length; end > 0; end -= 2 * MiB) bytes[end - 1] = 1;
    expect((await send(inPieces(bytes), "made-twice")).sentBytes).toBe(bytes.length);
    expect((await send(inPieces(bytes), "made-twice")).sentBytes).toBe(0);
  });

  test("that breaks off leaves nothing, and says why", async () => {
    const broken = (async function* () {
      yield* inPieces(randomBytes(9 * MiB));
      throw new MirumojiError("INPUT_UNREADABLE", "the sound ends in the middle");
    })();
    await expect(send(broken, "broken")).rejects.toMatchObject({ code: "INPUT_UNREADABLE" });
    await expect(get("broken")).rejects.toMatchObject({ code: "RESULT_MISSING" });
  });

  test("comes through block PUTs that fail", async () => {
    await host.fault({ block: "PUT", behaviour: "503", times: 3 });
    const bytes = randomBytes(20 * MiB);
    await send(inPieces(bytes), "made-503");
    expect(same(await get("made-503"), bytes)).toBe(true);
  });
});

describe("an upload", () => {
  test("that is repeated sends nothing again", async () => {
    await put(MIXED, "twice");
    expect((await put(MIXED, "twice")).sentBytes).toBe(0);
    expect(same(await get("twice"), MIXED)).toBe(true);
  });

  test.each([
    ["503", 3],
    ["500", 2],
    ["403", 2],
    ["drop", 2],
    ["wrong-bytes", 2],
  ] as const)("comes through block PUTs that fail with %s", async (behaviour, times) => {
    await host.fault({ block: "PUT", behaviour, times });
    const bytes = randomBytes(25 * MiB);
    await put(bytes, `put-${behaviour}`);
    expect(same(await get(`put-${behaviour}`), bytes)).toBe(true);
  });

  test("comes through RPCs that are unavailable and lists that are cut", async () => {
    await host.fault({ rpc: "VolumePutFiles2", code: "UNAVAILABLE", times: 3 });
    await host.fault({ stream: "VolumeListFiles2", cutAfter: 0, times: 2 });
    await put(Buffer.from("x"), "unavailable");
    expect((await get("unavailable")).toString()).toBe("x");
  });

  test("reports progress that only grows and ends at the whole", async () => {
    const reports: TransferProgress[] = [];
    const bytes = randomBytes(40 * MiB);
    await put(bytes, "progress", { onProgress: (progress) => reports.push(progress) });
    const done = reports.map(({ doneBytes }) => doneBytes);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(reports.at(-1)).toEqual({ doneBytes: bytes.length, totalBytes: bytes.length });
    expect(done.filter((value) => value === bytes.length)).toHaveLength(1);
  });

  test("stops within 100 ms of an abort", async () => {
    await host.fault({ block: "PUT", behaviour: "503", times: 1000 });
    const bytes = randomBytes(30 * MiB);
    const reason = new MirumojiError("CANCELLED", "somebody asked");
    const latency = await abortLatency(
      reason,
      400,
      async (stop) => await put(bytes, "aborted", { signal: stop }),
    );
    expect(latency).toBeLessThan(100);
  });

  test("into a volume that is gone is VOLUME_LOST", async () => {
    const gone = await volumes.create({ signal });
    await host.fault({ volume: "vanish", id: gone.volumeId });
    await expect(put(Buffer.from("x"), "x", gone)).rejects.toMatchObject({ code: "VOLUME_LOST" });
  });
});

describe("a download", () => {
  test.each([
    ["503", 3],
    ["403", 2],
    ["drop", 2],
    ["short", 2],
  ] as const)("comes through block GETs that fail with %s", async (behaviour, times) => {
    await put(MIXED, `get-${behaviour}`);
    await host.fault({ block: "GET", behaviour, times });
    expect(same(await get(`get-${behaviour}`), MIXED)).toBe(true);
  });

  test("asks for new URLs once when many blocks find theirs expired", async () => {
    await put(randomBytes(40 * MiB), "expired");
    const before = host.requests.length;
    await host.fault({ block: "GET", behaviour: "403", times: 5 });
    await get("expired");
    const asked = host.requests.slice(before).filter(({ rpc }) => rpc === "VolumeGetFile2");
    expect(asked.length).toBeGreaterThanOrEqual(2);
    expect(asked.length).toBeLessThanOrEqual(4);
  });

  test("whose blocks keep being short has failed, and is not padded into something else", async () => {
    await put(randomBytes(100), "always-short");
    await host.fault({ block: "GET", behaviour: "short", times: 100 });
    await expect(get("always-short")).rejects.toMatchObject({ code: "TRANSFER_CORRUPT" });
  });

  test("of a file that is not there is a transient failure, of a volume that is gone VOLUME_LOST", async () => {
    await expect(get("none")).rejects.toMatchObject({ code: "RESULT_MISSING" });
    const gone = await volumes.create({ signal });
    await volumes.delete(gone);
    await expect(get("none", gone)).rejects.toMatchObject({ code: "VOLUME_LOST" });
  });

  test("stops within 100 ms of an abort", async () => {
    await put(MIXED, "abort-get");
    await host.fault({ block: "GET", behaviour: "503", times: 1000 });
    const reason = new MirumojiError("INTERRUPTED", "stopping");
    const latency = await abortLatency(reason, 300, async (stop) => await get("abort-get", { signal: stop }));
    expect(latency).toBeLessThan(100);
  });

  test("that was interrupted goes on where it stopped, unless it is about something else", async () => {
    const bytes = randomBytes(70 * MiB);
    await put(bytes, "long");
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const localPath = join(host.folder, "resumed");
    const fetchInto = async (
      digest: string,
      stop = signal,
      onProgress = (_: TransferProgress): void => {},
    ) => {
      const into = await open(localPath, constants.O_RDWR | constants.O_CREAT);
      try {
        const options = { volumeId, remotePath: "long", into, sha256: digest, signal: stop, onProgress };
        return await volumes.getFile(options);
      } finally {
        await into.close();
      }
    };
    const controller = new AbortController();
    const stopSoon = ({ doneBytes }: TransferProgress): void => {
      if (doneBytes > 0) controller.abort(new MirumojiError("INTERRUPTED", "stopping"));
    };
    await expect(fetchInto(sha256, controller.signal, stopSoon)).rejects.toMatchObject({
      code: "INTERRUPTED",
    });

    const resumed = await fetchInto(sha256);
    expect(resumed.sizeBytes).toBe(bytes.length);
    expect(resumed.fetchedBytes).toBeLessThan(bytes.length);
    expect(same(await readFile(localPath), bytes)).toBe(true);
    expect((await fetchInto(sha256)).fetchedBytes).toBe(bytes.length);
    expect((await fetchInto(createHash("sha256").update("else").digest("hex"))).fetchedBytes).toBe(
      bytes.length,
    );
    expect(same(await readFile(localPath), bytes)).toBe(true);
  });

  test("into a disk that is full is DISK_FULL", async () => {
    await put(Buffer.from("x"), "full");
    const into = await open("/dev/full", "r+").catch(() => undefined);
    if (into === undefined) throw new Error("this machine has no /dev/full");
    const truncating = Object.assign(Object.create(into) as typeof into, {
      truncate: async () => {},
      write: into.write.bind(into),
    });
    const getting = volumes.getFile({ volumeId, remotePath: "full", into: truncating, signal });
    await expect(getting).rejects.toMatchObject({ code: "DISK_FULL" });
    await into.close();
  });

  test("never gives a control plane token to the block store", async () => {
    // The block URLs are on another port; whatever is sent there has no header of ours.
    const seen: string[][] = [];
    const listen = (message: unknown): void => {
      seen.push((message as { request: ClientRequest }).request.getHeaderNames());
    };
    subscribe("http.client.request.start", listen);
    try {
      await put(randomBytes(10), "headers");
      await volumes.readFile({ volumeId, remotePath: "headers", maxBytes: 10, signal });
    } finally {
      unsubscribe("http.client.request.start", listen);
    }
    // Blocks are sent by a thread; test/modal/transfers/block-worker.test.ts has their headers.
    expect(seen).toEqual([["host"]]);
  });
});

describe("a volume", () => {
  test("is ephemeral and of version 2", async () => {
    const request = host.requests.find(({ rpc }) => rpc === "VolumeGetOrCreate");
    expect(request?.request).toMatchObject({ objectCreationType: 5, version: 2, deploymentName: "" });
  });

  test("of another version is refused, and not left behind", async () => {
    const session = scriptedSession({
      volumeGetOrCreate: async () => ({ volumeId: "vo-9", version: 0, metadata: { version: 1 } }),
      volumeDelete: async () => ({}),
    });
    await expect(modalVolumes(session).create({ signal })).rejects.toMatchObject({ code: "MODAL_REFUSED" });
    expect(session.asked.at(-1)).toEqual(["volumeDelete", { volumeId: "vo-9" }]);
  });

  test("whose answer was lost is made once", async () => {
    const before = host.host.stats().volumes.created;
    await host.fault({ rpc: "VolumeGetOrCreate", code: "UNAVAILABLE", lostAnswer: true });
    await volumes.create({ signal });
    expect(host.host.stats().volumes.created).toBe(before + 1);
  });

  test("is kept by its heartbeat and lost without one", async () => {
    let now = Date.now();
    await using short = await startHostForTests({ volumeTtlMs: 60_000, now: () => now });
    const kept = modalVolumes(short.session);
    const one = await kept.create({ signal });
    now += 50_000;
    await kept.heartbeat(one);
    now += 50_000;
    await kept.heartbeat(one);
    now += 61_000;
    await expect(kept.heartbeat(one)).rejects.toMatchObject({ code: "VOLUME_LOST", kind: "lost" });
  });

  test("is deleted by its ID, and deleting it again is fine", async () => {
    const one = await volumes.create({ signal });
    const live = host.host.stats().volumes.live;
    await volumes.delete(one);
    expect(host.host.stats().volumes.live).toBe(live - 1);
    await volumes.delete(one);
    await expect(volumes.heartbeat(one)).rejects.toMatchObject({ code: "VOLUME_LOST" });
  });

  test("lists its files with their sizes, and loses what is removed", async () => {
    const listed = await volumes.create({ signal });
    await put(Buffer.from("four"), "a/b.txt", listed);
    await put(Buffer.from("x"), "c.txt", listed);
    const files = (await volumes.list({ ...listed, path: "/" })).filter(({ kind }) => kind === "file");
    expect(files.toSorted((a, b) => a.sizeBytes - b.sizeBytes)).toMatchObject([
      { path: "c.txt", kind: "file", sizeBytes: 1 },
      { path: "a/b.txt", kind: "file", sizeBytes: 4 },
    ]);
    await volumes.remove({ ...listed, path: "a" });
    await volumes.remove({ ...listed, path: "a" });
    const left = await volumes.list({ ...listed, path: "/" });
    expect(left.map(({ path }) => path)).toEqual(["c.txt"]);
  });
});

describe("what goes over the wire", () => {
  test("is the digest of each block without its trailing zeros, and the mode", async () => {
    const before = host.requests.length;
    await put(MIXED, "wire");
    const puts = host.requests.slice(before).filter(({ rpc }) => rpc === "VolumePutFiles2");
    expect(puts).toHaveLength(2);
    const named = puts[0]?.request as {
      files: { mode: number; size: number; blocks: { contentsSha256: Uint8Array }[] }[];
    };
    const [file] = named.files;
    expect(file).toMatchObject({ path: "wire", size: MIXED.length, mode: 0o644 });
    const expected = [
      MIXED.subarray(0, 8 * MiB),
      Buffer.alloc(0),
      MIXED.subarray(16 * MiB, 16 * MiB + 900_000),
    ].map((block) => createHash("sha256").update(block).digest("hex"));
    expect(file?.blocks.map(({ contentsSha256 }) => Buffer.from(contentsSha256).toString("hex"))).toEqual(
      expected,
    );
  });
});
