import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Metadata, Status } from "nice-grpc";
import { afterEach, describe, expect, test } from "vitest";
import { BLOCK_BYTES } from "../../src/gpu-host/store/blocks.ts";
import { blocksOf, getFile, putFile, putRequest, sha256, undoAll } from "../helpers/gpu-host/host.ts";
import { content, paths, start } from "../helpers/gpu-host/volume-scene.ts";

afterEach(undoAll);

describe("blocks", () => {
  const contents: Record<string, Buffer> = {
    "no bytes": Buffer.alloc(0),
    "one byte": content(1),
    "one zero": Buffer.alloc(1),
    "a whole block": content(BLOCK_BYTES),
    "a block and a byte": content(BLOCK_BYTES + 1),
    "a block of zeros": Buffer.alloc(BLOCK_BYTES),
    "trailing zeros": Buffer.concat([content(1000), Buffer.alloc(5000)]),
    "17 MiB with a block of zeros and a tail of zeros": Buffer.concat([
      content(BLOCK_BYTES),
      Buffer.alloc(BLOCK_BYTES),
      content(500_000),
      Buffer.alloc(548_576),
    ]),
  };

  for (const [name, data] of Object.entries(contents)) {
    test(`a file of ${name} comes back as it was sent`, async () => {
      const { cp, volumeId } = await start();

      const sent = await putFile(cp, volumeId, "dir/file", data);

      expect(sent).toBe(Math.ceil(data.length / BLOCK_BYTES));
      expect((await getFile(cp, volumeId, "dir/file")).equals(data)).toBe(true);
      expect(await paths(cp, volumeId, "dir")).toEqual([`f dir/file ${data.length}`]);
    });
  }

  test("a range starts and ends inside blocks", async () => {
    const { cp, volumeId } = await start();
    const data = content(2 * BLOCK_BYTES + 100);
    await putFile(cp, volumeId, "file", data);
    const start_ = BLOCK_BYTES - 10;

    const range = await cp.volumeGetFile2({ volumeId, path: "file", start: start_, len: BLOCK_BYTES + 50 });

    expect(range.getUrls).toHaveLength(3);
    expect(range).toMatchObject({ size: data.length, start: start_, len: BLOCK_BYTES + 50 });
    const received = await getFile(cp, volumeId, "file", { start: start_, len: BLOCK_BYTES + 50 });
    expect(received.equals(data.subarray(start_, start_ + BLOCK_BYTES + 50))).toBe(true);
  });

  test("a client that pads blocks itself is not sent their trailing zeros", async () => {
    const { cp, volumeId } = await start();
    await putFile(cp, volumeId, "file", Buffer.concat([content(100), Buffer.alloc(900)]));

    const { getUrls } = await cp.volumeGetFile2({ volumeId, path: "file", clientPadsBlocks: true });

    const answer = await fetch(getUrls[0] ?? "");
    expect(Buffer.from(await answer.arrayBuffer()).equals(content(100))).toBe(true);
  });

  test("only what is missing is sent again, and nothing when the file is there", async () => {
    const { cp, volumeId } = await start();
    const data = content(3 * BLOCK_BYTES);
    const first = await cp.volumePutFiles2(putRequest(volumeId, "file", data));
    const middle = first.missingBlocks[1];
    await fetch(middle?.putUrl ?? "", { method: "PUT", body: blocksOf(data)[1] ?? null });

    const second = await cp.volumePutFiles2(putRequest(volumeId, "file", data));

    expect(second.missingBlocks.map(({ blockIndex }) => blockIndex)).toEqual([0, 2]);
    expect(await paths(cp, volumeId)).toEqual([]);
    expect(await putFile(cp, volumeId, "file", data)).toBe(2);
    expect(await putFile(cp, volumeId, "file", data)).toBe(0);
    expect((await getFile(cp, volumeId, "file")).equals(data)).toBe(true);
  });

  test("a file that is named while it is still read takes its blocks as they come", async () => {
    const { cp, volumeId } = await start();
    const data = content(2 * BLOCK_BYTES + 10);
    const blocks = blocksOf(data);
    /** The first `count` blocks, and one that nobody has. */
    const beginning = (count: number) => {
      const known = blocks.slice(0, count).map((block) => ({ contentsSha256: sha256(block) }));
      const file = { path: "file", size: count * BLOCK_BYTES + 1 };
      return { volumeId, files: [{ ...file, blocks: [...known, { contentsSha256: randomBytes(32) }] }] };
    };
    const first = await cp.volumePutFiles2(beginning(1));
    expect(first.missingBlocks.map(({ blockIndex }) => blockIndex)).toEqual([0, 1]);
    await fetch(first.missingBlocks[0]?.putUrl ?? "", { method: "PUT", body: blocks[0] ?? null });

    const second = await cp.volumePutFiles2(beginning(2));
    expect(second.missingBlocks.map(({ blockIndex }) => blockIndex)).toEqual([1, 2]);
    expect(await paths(cp, volumeId)).toEqual([]);
    expect(await putFile(cp, volumeId, "file", data)).toBe(2);
    expect((await getFile(cp, volumeId, "file")).equals(data)).toBe(true);

    const again = await cp.volumePutFiles2(beginning(2));
    expect(again.missingBlocks.map(({ blockIndex }) => blockIndex)).toEqual([2]);
  });

  describe("a part of a file, with the hint of our own client", () => {
    const hinted = (hint: string) => ({ metadata: Metadata({ "x-mirumoji-part": hint }) });
    /** Blocks of a file as a file of their own, with one more that nobody has. */
    const part = (volumeId: string, blocks: readonly Buffer[]) => {
      const known = blocks.map((block) => ({ contentsSha256: sha256(block) }));
      const file = { path: "file", size: blocks.length * BLOCK_BYTES + 1 };
      return { volumeId, files: [{ ...file, blocks: [...known, { contentsSha256: randomBytes(32) }] }] };
    };

    test("has its blocks where they stay, so that the whole file lacks none of them", async () => {
      const { cp, volumeId } = await start();
      const data = content(3 * BLOCK_BYTES + 10);
      const blocks = blocksOf(data);
      const fileStart = sha256(blocks[0] ?? Buffer.alloc(0)).toString("hex");
      for (const [at, end] of [
        [2, 4],
        [0, 2],
      ] as const) {
        const named = part(volumeId, blocks.slice(at, end));
        const { missingBlocks } = await cp.volumePutFiles2(named, hinted(`${at} ${fileStart}`));
        expect(missingBlocks.map(({ blockIndex }) => blockIndex)).toEqual([0, 1, 2]);
        for (const { blockIndex, putUrl } of missingBlocks.slice(0, 2)) {
          const sent = await fetch(putUrl, { method: "PUT", body: blocks[at + blockIndex] ?? null });
          expect(sent.status).toBe(200);
        }
        const again = await cp.volumePutFiles2(named, hinted(`${at} ${fileStart}`));
        expect(again.missingBlocks.map(({ blockIndex }) => blockIndex)).toEqual([2]);
        expect(await paths(cp, volumeId)).toEqual([]);
      }
      expect((await cp.volumePutFiles2(putRequest(volumeId, "file", data))).missingBlocks).toEqual([]);
      expect((await getFile(cp, volumeId, "file")).equals(data)).toBe(true);
      const { missingBlocks } = await cp.volumePutFiles2(
        part(volumeId, blocks.slice(1, 3)),
        hinted(`1 ${fileStart}`),
      );
      expect(missingBlocks.map(({ blockIndex }) => blockIndex)).toEqual([2]);
    });

    test("never becomes the file, although it lacks nothing", async () => {
      const { cp, volumeId } = await start();
      const data = content(BLOCK_BYTES);
      const request = putRequest(volumeId, "file", data);
      const hint = hinted(`0 ${sha256(data).toString("hex")}`);
      const { missingBlocks } = await cp.volumePutFiles2(request, hint);
      await fetch(missingBlocks[0]?.putUrl ?? "", { method: "PUT", body: data });

      expect((await cp.volumePutFiles2(request, hint)).missingBlocks).toEqual([]);
      expect(await paths(cp, volumeId)).toEqual([]);
    });

    test.each(["", "1", "-1 abc", `1000000000 ${"a".repeat(64)}`, `1 ${"A".repeat(64)}`])(
      "is refused when the hint is %j",
      async (hint) => {
        const { cp, volumeId } = await start();
        const asked = cp.volumePutFiles2(part(volumeId, [Buffer.from("x")]), hinted(hint));
        await expect(asked).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT });
      },
    );
  });

  test("a file that is replaced by one with other blocks keeps those that are the same", async () => {
    const { cp, volumeId } = await start();
    const before = Buffer.concat([content(2 * BLOCK_BYTES), Buffer.from("the end"), Buffer.alloc(100)]);
    await putFile(cp, volumeId, "file", before);
    const after = Buffer.from(before).fill("other", BLOCK_BYTES, BLOCK_BYTES + 1000);

    expect(await putFile(cp, volumeId, "file", after)).toBe(1);
    expect((await getFile(cp, volumeId, "file")).equals(after)).toBe(true);
  });

  test("two files that begin alike and have the same name do not get into each other", async () => {
    const { cp, volumeId } = await start();
    const one = content(3 * BLOCK_BYTES);
    const other = Buffer.from(one).fill("x", 2 * BLOCK_BYTES);
    const ofOne = await cp.volumePutFiles2(putRequest(volumeId, "file", one));
    const ofOther = await cp.volumePutFiles2(putRequest(volumeId, "file", other));
    const send = async (from: typeof ofOne, data: Buffer, index: number) =>
      (
        await fetch(from.missingBlocks[index]?.putUrl ?? "", {
          method: "PUT",
          body: blocksOf(data)[index] ?? null,
        })
      ).status;
    for (const index of [0, 1, 2]) expect(await send(ofOne, one, index)).toBe(200);
    expect(await send(ofOther, other, 2)).toBe(200);

    expect(await putFile(cp, volumeId, "file", one)).toBe(1);
    expect((await getFile(cp, volumeId, "file")).equals(one)).toBe(true);
    // The other one comes too late for a file that is in the volume.
    expect(await send(ofOther, other, 2)).toBe(404);
    expect((await getFile(cp, volumeId, "file")).equals(one)).toBe(true);
    expect(await putFile(cp, volumeId, "file", other)).toBe(1);
    expect((await getFile(cp, volumeId, "file")).equals(other)).toBe(true);
  });

  test("a file that changed in the volume is not taken for the uploaded one", async () => {
    const { cp, volumeId, dataDir } = await start();
    await putFile(cp, volumeId, "file", content(10));
    await writeFile(join(dataDir, "volumes", volumeId, "files", "file"), "otherwise!");

    expect(await putFile(cp, volumeId, "file", content(10))).toBe(1);
    expect((await getFile(cp, volumeId, "file")).equals(content(10))).toBe(true);
  });

  test("wrong bytes are refused and leave no trace in the block", async () => {
    const { cp, volumeId } = await start();
    const data = Buffer.concat([content(100), Buffer.alloc(100)]);
    const { missingBlocks } = await cp.volumePutFiles2(putRequest(volumeId, "file", data));
    const putUrl = missingBlocks[0]?.putUrl ?? "";

    const wrong = await fetch(putUrl, { method: "PUT", body: Buffer.alloc(200, 0xff) });
    const tooLong = await fetch(putUrl, { method: "PUT", body: Buffer.alloc(201, 1) });

    expect([wrong.status, tooLong.status]).toEqual([400, 400]);
    expect(await putFile(cp, volumeId, "file", data)).toBe(1);
    expect((await getFile(cp, volumeId, "file")).equals(data)).toBe(true);
  });

  test("a second, wrong sender cannot spoil a block that has arrived", async () => {
    const { cp, volumeId } = await start();
    const data = content(100);
    const { missingBlocks } = await cp.volumePutFiles2(putRequest(volumeId, "file", data));
    const putUrl = missingBlocks[0]?.putUrl ?? "";
    await fetch(putUrl, { method: "PUT", body: data });

    const wrong = await fetch(putUrl, { method: "PUT", body: Buffer.alloc(100) });

    expect(wrong.status).toBe(400);
    expect((await cp.volumePutFiles2(putRequest(volumeId, "file", data))).missingBlocks).toEqual([]);
    expect((await getFile(cp, volumeId, "file")).equals(data)).toBe(true);
  });

  test("URLs and put responses that are not ours are refused", async () => {
    const { cp, volumeId } = await start();
    const data = content(10);
    const { missingBlocks } = await cp.volumePutFiles2(putRequest(volumeId, "file", data));
    const putUrl = missingBlocks[0]?.putUrl ?? "";

    const forged = await fetch(`${putUrl.slice(0, -2)}xx`, { method: "PUT", body: data });
    const asGet = await fetch(putUrl);

    expect([forged.status, asGet.status]).toEqual([403, 403]);
    const made = putRequest(volumeId, "file", data, [Buffer.from("made up")]);
    await expect(cp.volumePutFiles2(made)).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT });
  });

  test("URLs expire", async () => {
    let time = Date.now();
    const { cp, volumeId } = await start({ now: () => time, volumeTtlMs: 1e9 });
    await putFile(cp, volumeId, "file", content(10));
    const { getUrls } = await cp.volumeGetFile2({ volumeId, path: "file" });
    time += 61 * 60 * 1000;

    expect((await fetch(getUrls[0] ?? "")).status).toBe(403);
  });

  test("a reader does not get blocks of a file that took the place of the one it reads", async () => {
    const { cp, volumeId } = await start();
    await putFile(cp, volumeId, "file", content(10));
    const { getUrls } = await cp.volumeGetFile2({ volumeId, path: "file" });
    await putFile(cp, volumeId, "file", Buffer.from("ten others"));

    expect((await fetch(getUrls[0] ?? "")).status).toBe(410);
  });

  test("requests that do not add up are refused", async () => {
    const { cp, volumeId } = await start();
    const block = { contentsSha256: sha256(Buffer.from("x")) };
    const refused = (file: object) =>
      expect(cp.volumePutFiles2({ volumeId, files: [file] })).rejects.toMatchObject({
        code: Status.INVALID_ARGUMENT,
      });

    await refused({ path: "file", size: BLOCK_BYTES + 1, blocks: [block] });
    await refused({ path: "file", size: 1, blocks: [{ contentsSha256: Buffer.from("short") }] });
    await refused({ path: "dir/", size: 1, blocks: [block] });
    await refused({ path: "", size: 1, blocks: [block] });
  });
});
