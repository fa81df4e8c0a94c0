import assert from "node:assert/strict";
import { ModalClient } from "modal";
import type { GpuHost } from "../../../../src/gpu-host/host.ts";
import { connect, register } from "../host.ts";
import type { Attempts } from "./operations.ts";
import { FUNCTIONS, PRINTED } from "./handler.ts";

/** The operations by the high-level interface of the official JS SDK, as its README shows it. */
export async function jsSdkAttempts(host: GpuHost): Promise<Attempts> {
  const client = openClient(host);
  // The SDK leaves registering to Python; what it calls has to be there.
  await register(connect(host), FUNCTIONS, ["echo", "fail", "hold", "speak"], { appState: 3 });
  const find = async (name: string) => await client.functions.fromName("test-app", name);
  let callId = "";
  return {
    // `ephemeral()` has no choice of version and gives version 1.
    "volume: make an ephemeral one of version 2": null,
    "volume: make one by name": async () => {
      await client.volumes.fromName("js-films", { createIfMissing: true, version: 2 });
    },
    "volume: find it by name": async () => {
      const { volumeId } = await client.volumes.fromName("js-films");
      assert.match(volumeId, /^vo-/);
      await assert.rejects(client.volumes.fromName("js-missing"), { name: "NotFoundError" });
    },
    "volume: find it by ID": null,
    "volume: put a file of several blocks": null,
    "volume: list": null,
    "volume: read back what was put": null,
    "volume: remove a file": null,
    "volume: delete": async () => {
      await client.volumes.delete("js-films");
      await assert.rejects(client.volumes.fromName("js-films"), { name: "NotFoundError" });
    },
    "image: from a registry": async () => {
      const app = await client.apps.fromName("js-app", { createIfMissing: true });
      const image = await client.images.fromRegistry("example/python:3").build(app);
      assert.match(image.imageId, /^im-/);
    },
    "app: ephemeral, with a mounted source file": null,
    "app: deploy": null,
    "app: find a deployed function by name": async () => {
      assert.match((await find("echo")).functionId, /^fu-/);
      await assert.rejects(find("missing"), { name: "NotFoundError" });
    },
    "call: wait for the result": async () => {
      assert.deepEqual(await (await find("echo")).remote(["é", null], {}), ["é", null]);
    },
    "call: find it again by its ID": async () => {
      const call = await (await find("echo")).spawn([7]);
      callId = call.functionCallId;
      assert.deepEqual(await (await client.functionCalls.fromId(callId)).get({ timeoutMs: 20_000 }), [7]);
    },
    "call: find it again from a client that never saw it": async () => {
      const other = await openClient(host).functionCalls.fromId(callId);
      assert.deepEqual(await other.get({ timeoutMs: 20_000 }), [7]);
    },
    "call: cancel": async () => {
      const call = await (await find("hold")).spawn([60]);
      await call.cancel();
      await assert.rejects(call.get({ timeoutMs: 20_000 }), { name: "RemoteError" });
    },
    "call: tell why it failed": async () => {
      await assert.rejects((await find("fail")).remote([]), /no such luck/);
    },
    "call: send 3 MiB of arguments": async () => {
      const big = "x".repeat(3 * 1024 * 1024);
      assert.deepEqual(await (await find("echo")).remote([big]), [big]);
    },
    "call: follow the output": async () => {
      const call = await (await find("speak")).spawn([]);
      let text = "";
      for await (const { message } of call.logs.stream()) text += message;
      assert.ok(text.includes(PRINTED), text);
    },
  };
}

function openClient(host: GpuHost): ModalClient {
  const before = process.env["MODAL_SERVER_URL"];
  process.env["MODAL_SERVER_URL"] = host.serverUrl;
  try {
    const { tokenId, tokenSecret } = host;
    return new ModalClient({ tokenId, tokenSecret, maxThrottleWaitSecs: 5, logLevel: "error" });
  } finally {
    if (before === undefined) delete process.env["MODAL_SERVER_URL"];
    else process.env["MODAL_SERVER_URL"] = before;
  }
}
