import { randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { BLOCK_BYTES } from "../../src/gpu-host/store/blocks.ts";
import { Intake } from "../../src/gpu-host/store/intake.ts";
import {
  blocksOf,
  connect,
  getFile,
  newVolume,
  putRequest,
  sha256,
  startHost,
  temporaryDirectory,
  undoAll,
} from "./helpers.ts";

afterEach(undoAll);

/** Pieces of all sizes: smaller and larger than what is handed on at once, some with memory in common. */
function* pieces(content: Buffer): Generator<Buffer> {
  let size = 1;
  for (let at = 0; at < content.length; at += size) {
    size = (size * 7) % 1_000_003;
    yield size % 2 === 0 ? content.subarray(at, at + size) : Buffer.from(content.subarray(at, at + size));
  }
}

async function* asStream<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

const target = { algorithm: "sha256", position: 0, limit: Number.POSITIVE_INFINITY } as const;

test("uploads at the same time end up in their own places, with their own digests", async () => {
  const file = join(await temporaryDirectory(), "file");
  await using into = await open(file, "w");
  await using intake = disposable(new Intake());
  const contents = Array.from({ length: 8 }, (_, index) => randomBytes(3_000_000 + index));
  const starts = contents.map((_, index) => index * 4_000_000);

  const received = await Promise.all(
    contents.map((content, index) => {
      const position = starts[index] ?? 0;
      return intake.intake.receive(asStream(pieces(content)), { ...target, into, position });
    }),
  );

  expect(received).toEqual(
    contents.map((content) => ({ bytes: content.length, digest: sha256(content).toString("hex") })),
  );
  const written = await readFile(file);
  const differing = contents.filter((content, index) => {
    const start = starts[index] ?? 0;
    return !written.subarray(start, start + content.length).equals(content);
  });
  expect(differing).toHaveLength(0);
});

test("a file that cannot be written fails its upload only", async () => {
  const file = join(await temporaryDirectory(), "file");
  await using writable = await open(file, "w");
  await using readOnly = await open(file, "r");
  await using intake = disposable(new Intake());
  const content = randomBytes(2_000_000);
  const receive = (into: typeof writable) =>
    intake.intake.receive(asStream(pieces(content)), { ...target, into });

  const [good, bad] = await Promise.allSettled([receive(writable), receive(readOnly)]);

  expect(bad).toMatchObject({ status: "rejected", reason: { code: "EBADF" } });
  expect(good).toMatchObject({ status: "fulfilled", value: { bytes: content.length } });
  expect((await receive(writable)).digest).toBe(sha256(content).toString("hex"));
});

test("what is beyond the limit is counted and not written", async () => {
  const file = join(await temporaryDirectory(), "file");
  await using into = await open(file, "w");
  await using intake = disposable(new Intake());
  const chunks = [Buffer.from("12345"), Buffer.from("67890"), Buffer.from("more")];

  const { bytes } = await intake.intake.receive(asStream(chunks), { ...target, into, limit: 10 });

  expect(bytes).toBe(14);
  expect(await readFile(file, "utf8")).toBe("1234567890");
});

test("of many senders those with wrong bytes and those that break off leave nothing", async () => {
  const host = await startHost();
  const cp = connect(host);
  const volumeId = await newVolume(cp);
  const data = Buffer.concat([randomBytes(9 * BLOCK_BYTES), Buffer.alloc(BLOCK_BYTES / 2)]);
  data.fill(0, 9 * BLOCK_BYTES - 5000, 9 * BLOCK_BYTES);
  const { missingBlocks } = await cp.volumePutFiles2(putRequest(volumeId, "file", data));
  const blocks = blocksOf(data);

  const outcomes = await Promise.all(
    missingBlocks.map(async ({ blockIndex, putUrl }) => {
      const block = blocks[blockIndex] ?? Buffer.alloc(0);
      if (blockIndex === 3) return await brokenOff(putUrl, block);
      const body = blockIndex === 5 ? Buffer.concat([block.subarray(0, -1), Buffer.of(0)]) : block;
      return (await fetch(putUrl, { method: "PUT", body })).status;
    }),
  );

  expect(outcomes).toEqual([200, 200, 200, "broken", 200, 400, 200, 200, 200, 200]);
  const again = await cp.volumePutFiles2(putRequest(volumeId, "file", data));
  expect(again.missingBlocks.map(({ blockIndex }) => blockIndex)).toEqual([3, 5]);
  for (const { blockIndex, putUrl } of again.missingBlocks) {
    await fetch(putUrl, { method: "PUT", body: blocks[blockIndex] ?? null });
  }
  expect((await cp.volumePutFiles2(putRequest(volumeId, "file", data))).missingBlocks).toEqual([]);
  expect((await getFile(cp, volumeId, "file")).equals(data)).toBe(true);
});

/** Sends most of a body and hangs up. */
async function brokenOff(url: string, body: Buffer): Promise<"broken"> {
  const put = request(url, { method: "PUT", headers: { "Content-Length": body.length } });
  put.on("error", () => undefined);
  const closed = new Promise((resolve) => put.on("close", resolve));
  put.write(body.subarray(0, 6_000_000), () => put.destroy());
  await closed;
  return "broken";
}

function disposable(intake: Intake) {
  return { intake, [Symbol.asyncDispose]: () => intake.close() };
}
