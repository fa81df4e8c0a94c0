import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GpuHost } from "../../../../src/gpu-host/host.ts";
import { modalCalls } from "../../../../src/modal/calls/calls.ts";
import { type Deployment, deployModal } from "../../../../src/modal/apps/deploy.ts";
import { findModal } from "../../../../src/modal/apps/existing.ts";
import type { FunctionSpec } from "../../../../src/modal/apps/functions.ts";
import { type ModalSession, openModalSession } from "../../../../src/modal/rpc/session.ts";
import { setupModal } from "../../../../src/modal/setup-modal.ts";
import { openVolume } from "../../../../src/modal/volumes/volume-store.ts";
import { modalVolumes } from "../../../../src/modal/volumes/volumes.ts";
import type { AppShare, SharedApp } from "../../../../src/queue/app-share.ts";
import { FUNCTIONS, PRINTED } from "./handler.ts";
import type { Attempts } from "./operations.ts";

const MIB = 1024 * 1024;

/** The operations by our own adapter, as the worker uses it. */
export async function adapterAttempts(host: GpuHost, folder: string): Promise<Attempts> {
  const { signal } = new AbortController();
  const session = openModalSession(host);
  const volumes = modalVolumes(session);
  const calls = modalCalls(session);
  const handlerPath = join(folder, "conformance_handler.py");
  await writeFile(handlerPath, FUNCTIONS);
  const options = registration(handlerPath);
  const runtime = await setupModal(session, options);
  const bytes = Buffer.concat([randomBytes(9 * MIB), Buffer.alloc(8 * MIB)]);
  await writeFile(join(folder, "in"), bytes);
  let volumeId = "";
  let callId = "";
  let deployed: Deployment | undefined;
  const start = async (functionId: string, args: unknown[]): Promise<string> => {
    const input = { args, kwargs: {} };
    const opened = await calls.open({ functionId, input, signal });
    if (!opened.started) await calls.start({ functionId, callId: opened.callId, input, signal });
    return opened.callId;
  };
  const act = async (...args: unknown[]) => await start(runtime.convert.functionId, args);
  const echo = async (value: unknown) => await start(runtime.transcribe.functionId, [value]);
  const result = async (id: string, on: ModalSession = session): Promise<unknown> => {
    const state = await modalCalls(on).poll({ callId: id, waitMs: 20_000, signal });
    assert.equal(state.kind, "succeeded");
    return state.kind === "succeeded" ? state.value : undefined;
  };
  return {
    "volume: make an ephemeral one of version 2": async () => {
      ({ volumeId } = await volumes.create({ signal }));
      await volumes.heartbeat({ volumeId, signal });
    },
    // A job's volume has no name, and the commands use volumes that are there.
    "volume: make one by name": null,
    "volume: find it by name": async () => {
      const made = { deploymentName: "ours", objectCreationType: 1, version: 2 };
      const named = await session.cpClient.volumeGetOrCreate(made);
      assert.equal((await openVolume(session, "ours", signal)).volumeId, named.volumeId);
      await assert.rejects(openVolume(session, "missing", signal), { code: "VOLUME_NOT_FOUND" });
      await volumes.delete({ volumeId: named.volumeId });
    },
    "volume: find it by ID": async () => {
      assert.equal((await openVolume(session, volumeId, signal)).version, 2);
    },
    "volume: put a file of several blocks": async () => {
      const put = { volumeId, remotePath: "a/in", localPath: join(folder, "in"), signal };
      assert.equal((await volumes.putFile(put)).sizeBytes, bytes.length);
    },
    "volume: list": async () => {
      const files = await volumes.list({ volumeId, path: "/" });
      assert.deepEqual(
        files.map(({ path, kind }) => `${kind} ${path}`),
        ["directory a", "file a/in"],
      );
    },
    "volume: read back what was put": async () => {
      const into = await open(join(folder, "out"), "w");
      try {
        await volumes.getFile({ volumeId, remotePath: "a/in", into, signal });
      } finally {
        await into.close();
      }
      assert.equal(Buffer.compare(await readFile(join(folder, "out")), bytes), 0);
    },
    "volume: remove a file": async () => {
      await volumes.remove({ volumeId, path: "a/in" });
      assert.deepEqual((await volumes.list({ volumeId, path: "a" })).length, 0);
    },
    "volume: delete": async () => {
      await volumes.delete({ volumeId });
      await assert.rejects(volumes.heartbeat({ volumeId }), { code: "VOLUME_LOST" });
    },
    // Both were done when the app was set up; what they gave is used here.
    "image: from a registry": async () => {
      assert.deepEqual(await result(await echo("built")), ["built"]);
    },
    "app: ephemeral, with a mounted source file": async () => {
      assert.deepEqual(await result(await act("echo", 1)), [1]);
    },
    "app: deploy": async () => {
      deployed = await deployModal(session, { ...options, appName: "ours", share: ownShare() });
    },
    "app: find a deployed function by name": async () => {
      const names = { appName: "ours", transcribe: "transcribe", convert: "convert" };
      const { transcribe } = await findModal(session, names);
      assert.equal(transcribe.functionId, deployed?.transcribe.functionId);
      assert.deepEqual(await result(await start(transcribe.functionId, ["x"])), ["x"]);
      await session.cpClient.appStop({ appId: deployed?.appId ?? "" });
      await assert.rejects(findModal(session, { ...names, appName: "missing" }), { code: "CONFIG_INVALID" });
    },
    "call: wait for the result": async () => {
      assert.deepEqual(await result(await echo("é")), ["é"]);
    },
    "call: find it again by its ID": async () => {
      callId = await echo(7);
      assert.deepEqual(await result(callId), [7]);
    },
    "call: find it again from a client that never saw it": async () => {
      assert.deepEqual(await result(callId, openModalSession(host)), [7]);
    },
    "call: cancel": async () => {
      const held = await act("hold", 60);
      await calls.cancel({ callId: held, terminateContainers: false });
      await assert.rejects(result(held), { code: "FUNCTION_TERMINATED" });
    },
    "call: tell why it failed": async () => {
      await assert.rejects(result(await act("fail")), { code: "FUNCTION_FAILED", message: /no such luck/ });
    },
    "call: send 3 MiB of arguments": async () => {
      const big = "x".repeat(3 * MIB);
      assert.deepEqual(await result(await echo(big)), [big]);
    },
    "call: follow the output": async () => {
      const spoken = await act("speak");
      const heard = new AbortController();
      const lines: string[] = [];
      const following = calls.followLogs({
        appId: runtime.appId,
        callId: spoken,
        signal: heard.signal,
        onLine: ({ text }) => lines.push(text),
      });
      await result(spoken);
      heard.abort();
      await following;
      await runtime.close();
      assert.ok(lines.includes(PRINTED), JSON.stringify(lines));
    },
  };
}

function registration(handlerPath: string) {
  const spec = (tag: string, implementation: string): FunctionSpec => {
    return { tag, module: "conformance_handler", implementation, parameters: [] };
  };
  return {
    image: "example/python:3",
    gpus: ["T4"],
    timeoutSeconds: 60,
    scaledownWindowSeconds: 2,
    handler: {
      transcribe: spec("transcribe", "echo"),
      convert: spec("convert", "act"),
      sources: [{ localPath: handlerPath, remotePath: "/root/conformance_handler.py" }],
    },
  };
}

/** State that a pool of one worker keeps about its app. */
function ownShare(): AppShare {
  let known: SharedApp | null = null;
  return {
    read: async () => known,
    write: async (app) => {
      known = app;
    },
    exclusively: async (action) => await action(),
    join: async () => undefined,
    leave: async () => true,
  };
}
