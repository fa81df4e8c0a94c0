import { appendFile, mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Status } from "nice-grpc";
import { afterEach, describe, expect, test } from "vitest";
import type { Log } from "../../src/gpu-host/log.ts";
import { BLOCK_BYTES } from "../../src/gpu-host/store/blocks.ts";
import {
  blocksOf,
  call,
  connect,
  getFile,
  newVolume,
  putFile,
  putRequest,
  register,
  startHost,
  temporaryDirectory,
  undoAll,
  value,
} from "../helpers/gpu-host/host.ts";

afterEach(undoAll);

const HANDLER = "def echo(*args):\n    return args\n";

/** A logger that keeps its warnings. */
function listener(): { log: Log; warnings: { fields: object; message: string }[] } {
  const warnings: { fields: object; message: string }[] = [];
  const ignore = () => undefined;
  const log: Log = {
    debug: ignore,
    info: ignore,
    warn: (fields, message) => void warnings.push({ fields, message }),
    error: ignore,
  };
  return { log, warnings };
}

describe("records that cannot be read", () => {
  test("are put aside by name, whatever is wrong with them, and the host goes on without them", async () => {
    const dataDir = await temporaryDirectory();
    const first = await startHost({ dataDir });
    const { functions } = await register(connect(first), HANDLER, ["echo"], { appState: 3 });
    const volumeId = await newVolume(connect(first));
    await first.close();
    const state = join(dataDir, "state");
    const kinds = (await readdir(state, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    for (const { name } of kinds) {
      await writeFile(join(state, name, "xx-empty.json"), "");
      await writeFile(join(state, name, "xx-torn.json"), '{"id":"xx-torn","na');
      await writeFile(join(state, name, "xx-null.json"), "null");
      await writeFile(join(state, name, "xx-shape.json"), '{"id":"xx-shape"}');
      await writeFile(join(state, name, "xx-zeros.json"), Buffer.alloc(300));
    }
    await truncate(join(state, "volumes", `${volumeId}.json`));

    const { log, warnings } = listener();
    const second = connect(await startHost({ dataDir, logger: log }));

    expect(await value(second, await call(second, functions["echo"] ?? "", [1]))).toEqual([1]);
    await expect(second.volumeGetById({ volumeId })).rejects.toMatchObject({ code: Status.NOT_FOUND });
    const aside = await readdir(join(state, "unreadable"));
    expect(aside).toHaveLength(kinds.length * 5 + 1);
    expect(aside).toContain(`volumes-${volumeId}.json`);
    expect(warnings).toHaveLength(aside.length);
    expect(JSON.stringify(warnings)).toContain(`volumes/${volumeId}.json`);
  });

  test("leave no call that waits for ever: one whose function is lost is the platform's failure", async () => {
    const dataDir = await temporaryDirectory();
    const first = await startHost({ dataDir });
    const cp = connect(first);
    const { functions, appId } = await register(cp, HANDLER, ["echo"], { appState: 3 });
    const functionId = functions["echo"] ?? "";
    const { functionCallId } = await cp.functionMap({ functionId, functionCallType: 1 });
    await first.close();
    const state = join(dataDir, "state");
    await truncate(join(state, "functions", `${functionId}.json`));
    const input = {
      id: "in-1",
      callId: functionCallId,
      idx: 0,
      dataFormat: 4,
      state: "queued",
      createdAt: 1,
    };
    await writeFile(join(state, "inputs", "in-1.json"), JSON.stringify(input));

    const second = connect(await startHost({ dataDir }));

    const { outputs } = await second.functionGetOutputs({ functionCallId, timeout: 20, lastEntryId: "0-0" });
    expect(outputs).toMatchObject([{ result: { status: 6 } }]);
    // The app can be deployed again.
    expect((await second.appGetLayout({ appId })).appLayout?.functionIds).toEqual({});
  });

  test("of the signing key are replaced: a short key would let anybody sign", async () => {
    const dataDir = await temporaryDirectory();
    await (await startHost({ dataDir })).close();
    await truncate(join(dataDir, "state", "key"));
    const { log, warnings } = listener();

    const second = await startHost({ dataDir, logger: log });

    expect((await readFile(join(dataDir, "state", "key"))).length).toBe(32);
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining("signing key")]);
    await newVolume(connect(second));
  });

  test("of a file in a volume make it be sent again", async () => {
    const dataDir = await temporaryDirectory();
    const cp = connect(await startHost({ dataDir }));
    const volumeId = await newVolume(cp);
    await putFile(cp, volumeId, "file", Buffer.from("content"));
    const manifests = join(dataDir, "volumes", volumeId, "manifests");
    for (const name of await readdir(manifests)) await truncate(join(manifests, name));

    expect(await putFile(cp, volumeId, "file", Buffer.from("content"))).toBe(1);
  });
});

describe("a machine that lost its power", () => {
  /** A host that was not closed: what it left, in a copy. */
  async function cutOff(prepare: (cp: ReturnType<typeof connect>) => Promise<void>) {
    const dataDir = await temporaryDirectory();
    const host = await startHost({ dataDir, bootId: "first" });
    await prepare(connect(host));
    await host.close();
    await mkdir(join(dataDir, "state"), { recursive: true });
    await writeFile(join(dataDir, "state", "boot"), "first");
    return dataDir;
  }

  test("lets go of volumes and apps of jobs, and keeps what was deployed or has a name", async () => {
    const ids = { ephemeral: "", named: "", app: "", call: "" };
    let deployed: Record<string, string> = {};
    const half = Buffer.alloc(2 * BLOCK_BYTES, "x");
    const dataDir = await cutOff(async (cp) => {
      ids.ephemeral = await newVolume(cp);
      await putFile(cp, ids.ephemeral, "file", Buffer.from("lost"));
      ids.named = (
        await cp.volumeGetOrCreate({ deploymentName: "models", objectCreationType: 1, version: 2 })
      ).volumeId;
      await putFile(cp, ids.named, "file", Buffer.from("kept"));
      const { missingBlocks } = await cp.volumePutFiles2(putRequest(ids.named, "half", half));
      await fetch(missingBlocks[1]?.putUrl ?? "", { method: "PUT", body: blocksOf(half)[1] ?? null });
      ids.app = (await register(cp, HANDLER, ["echo"])).appId;
      deployed = (await register(cp, HANDLER, ["echo"], { appState: 3 })).functions;
    });
    const { log, warnings } = listener();

    const cp = connect(await startHost({ dataDir, bootId: "second", logger: log }));

    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining("lost its power")]);
    await expect(cp.volumeGetById({ volumeId: ids.ephemeral })).rejects.toMatchObject({
      code: Status.NOT_FOUND,
    });
    await expect(cp.appHeartbeat({ appId: ids.app })).rejects.toMatchObject({
      code: Status.FAILED_PRECONDITION,
    });
    expect((await getFile(cp, ids.named, "file")).toString()).toBe("kept");
    const { missingBlocks } = await cp.volumePutFiles2(putRequest(ids.named, "half", half));
    expect(missingBlocks).toHaveLength(2);
    expect(await value(cp, await call(cp, deployed["echo"] ?? "", [1]))).toEqual([1]);
  });

  test("is told from a host that was killed, and from one that was closed", async () => {
    let volumeId = "";
    const dataDir = await cutOff(async (cp) => {
      volumeId = await newVolume(cp);
    });
    const killed = await startHost({ dataDir, bootId: "first" });
    await connect(killed).volumeGetById({ volumeId });
    await killed.close();
    const closed = await startHost({ dataDir, bootId: "second" });
    await connect(closed).volumeGetById({ volumeId });
  });
});

test("a folder that somebody else's files lie in is no reason to stop", async () => {
  const dataDir = await temporaryDirectory();
  await (await startHost({ dataDir })).close();
  await appendFile(join(dataDir, "state", "calls", "notes.txt"), "not ours");

  await startHost({ dataDir });

  expect(await readdir(join(dataDir, "state", "calls"))).toEqual([]);
});
