import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Status } from "nice-grpc";
import { afterEach, describe, expect, test } from "vitest";
import { BLOCK_BYTES } from "../../src/gpu-host/store/blocks.ts";
import { blocksOf, getFile, putFile, putRequest, sha256, undoAll } from "../helpers/gpu-host/host.ts";
import { content, paths, start } from "../helpers/gpu-host/volume-scene.ts";

afterEach(undoAll);

describe("files", () => {
  test("are listed with their directories, flat or deep", async () => {
    const { cp, volumeId } = await start();
    await putFile(cp, volumeId, "a/b/one", content(1));
    await putFile(cp, volumeId, "/two", content(2));

    expect(await paths(cp, volumeId)).toEqual(["d a 0", "f two 2"]);
    expect(await paths(cp, volumeId, "", true)).toEqual(["d a 0", "d a/b 0", "f a/b/one 1", "f two 2"]);
    await expect(paths(cp, volumeId, "nowhere")).rejects.toMatchObject({ code: Status.NOT_FOUND });
  });

  test("are removed, directories only when that is meant", async () => {
    const { cp, volumeId } = await start();
    await putFile(cp, volumeId, "a/b/one", content(1));
    await putFile(cp, volumeId, "two", content(2));

    await cp.volumeRemoveFile2({ volumeId, path: "two" });
    await expect(cp.volumeRemoveFile2({ volumeId, path: "a" })).rejects.toMatchObject({
      code: Status.INVALID_ARGUMENT,
    });
    expect(await paths(cp, volumeId)).toEqual(["d a 0"]);
    await cp.volumeRemoveFile2({ volumeId, path: "a", recursive: true });
    expect(await paths(cp, volumeId)).toEqual([]);
    await expect(cp.volumeRemoveFile2({ volumeId, path: "two" })).rejects.toMatchObject({
      code: Status.NOT_FOUND,
    });
  });

  test("are not overwritten when the client forbids it", async () => {
    const { cp, volumeId } = await start();
    await putFile(cp, volumeId, "file", content(10));
    const request = { ...putRequest(volumeId, "file", content(11)), disallowOverwriteExistingFiles: true };

    await expect(cp.volumePutFiles2(request)).rejects.toMatchObject({ code: Status.ALREADY_EXISTS });
    expect((await getFile(cp, volumeId, "file")).equals(content(10))).toBe(true);
  });

  test("cannot be both a file and a directory", async () => {
    const { cp, volumeId } = await start();
    await putFile(cp, volumeId, "file", content(10));

    await expect(putFile(cp, volumeId, "file/inner", content(1))).rejects.toMatchObject({
      code: Status.FAILED_PRECONDITION,
    });
  });

  for (const path of ["../outside", "a/../../outside", "nul\0", "x".repeat(256)]) {
    test(`cannot be called ${JSON.stringify(path.slice(0, 20))}`, async () => {
      const { cp, volumeId } = await start();
      const refused = { code: Status.INVALID_ARGUMENT };

      await expect(cp.volumePutFiles2(putRequest(volumeId, path, content(1)))).rejects.toMatchObject(refused);
      await expect(cp.volumeGetFile2({ volumeId, path })).rejects.toMatchObject(refused);
      await expect(cp.volumeRemoveFile2({ volumeId, path, recursive: true })).rejects.toMatchObject(refused);
      await expect(paths(cp, volumeId, path)).rejects.toMatchObject(refused);
    });
  }

  test("of version 1 volumes arrive whole, by their content", async () => {
    const { cp } = await start();
    const { volumeId, metadata } = await cp.volumeGetOrCreate({ objectCreationType: 5 });
    const data = content(1000);
    const sha256Hex = sha256(data).toString("hex");
    const wrong = cp.mountPutFile({ sha256Hex, data: content(999) });
    await expect(wrong).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT });
    expect(await cp.mountPutFile({ sha256Hex })).toMatchObject({ exists: false });
    await cp.mountPutFile({ sha256Hex, data });

    const files = ["one", "one", "dir/two"].map((filename) => ({ filename, sha256Hex }));
    await cp.volumePutFiles({ volumeId, files });

    expect(metadata?.version).toBe(0);
    expect(await paths(cp, volumeId, "", true)).toEqual(["d dir 0", "f dir/two 1000", "f one 1000"]);
    expect((await getFile(cp, volumeId, "dir/two")).equals(data)).toBe(true);
    const again = { volumeId, files: files.slice(0, 1), disallowOverwriteExistingFiles: true };
    await expect(cp.volumePutFiles(again)).rejects.toMatchObject({ code: Status.ALREADY_EXISTS });
  });
});

test("a volume of one version refuses uploads of the other", async () => {
  const { cp, volumeId } = await start();
  const { volumeId: first } = await cp.volumeGetOrCreate({ objectCreationType: 5, version: 1 });
  const refused = { code: Status.FAILED_PRECONDITION };

  await expect(cp.volumePutFiles2(putRequest(first, "file", content(1)))).rejects.toMatchObject(refused);
  await expect(cp.volumePutFiles({ volumeId, files: [] })).rejects.toMatchObject(refused);
});

describe("life", () => {
  test("an ephemeral volume without heartbeats expires, with its files and its half-done uploads", async () => {
    let time = Date.now();
    const { host, cp, volumeId, dataDir } = await start({ now: () => time, volumeTtlMs: 60_000 });
    await putFile(cp, volumeId, "file", content(10));
    await cp.volumePutFiles2(putRequest(volumeId, "unfinished", content(11)));
    time += 59_000;
    await cp.volumeHeartbeat({ volumeId });
    time += 59_000;
    expect((await cp.volumeGetById({ volumeId })).metadata).toMatchObject({ version: 2, name: "" });
    time += 2_000;

    const gone = { code: Status.NOT_FOUND };
    await expect(cp.volumeHeartbeat({ volumeId })).rejects.toMatchObject(gone);
    await expect(cp.volumeGetFile2({ volumeId, path: "file" })).rejects.toMatchObject(gone);
    await expect(cp.volumeDelete({ volumeId })).rejects.toMatchObject(gone);
    expect(host.stats().volumes).toMatchObject({ live: 0, created: 1, deleted: 0, expired: 1 });
    await expect.poll(() => readdir(join(dataDir, "volumes"))).toEqual([]);
  });

  test("nobody has to ask for an expired volume to disappear", async () => {
    const { cp, volumeId, dataDir } = await start({ volumeTtlMs: 600 });
    await putFile(cp, volumeId, "file", content(10));

    await expect.poll(() => existsSync(join(dataDir, "volumes", volumeId))).toBe(false);
  });

  test("a deleted volume is gone at once, also for URLs handed out before", async () => {
    const { host, cp, volumeId, dataDir } = await start();
    await putFile(cp, volumeId, "file", content(10));
    const { getUrls } = await cp.volumeGetFile2({ volumeId, path: "file" });
    const { missingBlocks } = await cp.volumePutFiles2(putRequest(volumeId, "other", content(11)));

    await cp.volumeDelete({ volumeId });

    expect(await readdir(join(dataDir, "volumes"))).toEqual([]);
    expect((await fetch(getUrls[0] ?? "")).status).toBe(404);
    const put = await fetch(missingBlocks[0]?.putUrl ?? "", { method: "PUT", body: content(11) });
    expect(put.status).toBe(404);
    await expect(cp.volumeDelete({ volumeId })).rejects.toMatchObject({ code: Status.NOT_FOUND });
    expect(host.stats().volumes).toMatchObject({ live: 0, created: 1, deleted: 1, expired: 0 });
  });

  test("a named volume is found again, listed, and never expires", async () => {
    let time = Date.now();
    const { cp } = await start({ now: () => time });
    const named = { deploymentName: "models", version: 2 };
    await expect(cp.volumeGetOrCreate(named)).rejects.toMatchObject({ code: Status.NOT_FOUND });
    const { volumeId } = await cp.volumeGetOrCreate({ ...named, objectCreationType: 1 });
    time += 59 * 60 * 1000;

    expect((await cp.volumeGetOrCreate(named)).volumeId).toBe(volumeId);
    const { items } = await cp.volumeList({});
    expect(items.map(({ label, volumeId: id }) => [label, id])).toEqual([["models", volumeId]]);
    await expect(cp.volumeGetOrCreate({ ...named, objectCreationType: 2 })).rejects.toMatchObject({
      code: Status.ALREADY_EXISTS,
    });
  });

  test("blocks stand in the file at their place before the commit, which is a rename", async () => {
    const { cp, volumeId, dataDir } = await start();
    const data = content(2 * BLOCK_BYTES);
    const { missingBlocks } = await cp.volumePutFiles2(putRequest(volumeId, "file", data));
    await fetch(missingBlocks[1]?.putUrl ?? "", { method: "PUT", body: blocksOf(data)[1] ?? null });

    const staging = join(dataDir, "volumes", volumeId, "staging");
    const [file = ""] = (await readdir(staging)).filter((name) => name.endsWith(".data"));
    const staged = await readFile(join(staging, file));
    expect(staged.length).toBe(data.length);
    expect(staged.subarray(BLOCK_BYTES).equals(data.subarray(BLOCK_BYTES))).toBe(true);
    await putFile(cp, volumeId, "file", data);
    expect(await readdir(staging)).toEqual([]);
  });
});
