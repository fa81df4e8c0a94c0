import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { modalCalls } from "../../../src/modal/calls/calls.ts";
import { modalPartCalls } from "../../../src/modal/calls/part-calls.ts";
import { handlerInImage } from "../../../src/modal/apps/handler.ts";
import { type ModalRuntime, setupModal } from "../../../src/modal/setup-modal.ts";
import type { PartCalls, PartOutput, PlacedInput } from "../../../src/ports/part-calls.ts";
import { type HostForTests, startHostForTests } from "../../helpers/modal/gpu-host.ts";

const HANDLER = `
import time

def transcribe(seconds, value):
    time.sleep(seconds)
    if value == "raise":
        raise ValueError("no")
    return value

def convert():
    return None
`;

const { signal } = new AbortController();

let host: HostForTests;
let partCalls: PartCalls;
let runtime: ModalRuntime;
let functionId: string;
beforeAll(async () => {
  host = await startHostForTests({ maxConcurrentCalls: 3 });
  partCalls = modalPartCalls(host.session);
  const localPath = join(host.folder, "handler.py");
  await writeFile(localPath, HANDLER);
  runtime = await setupModal(host.session, {
    image: "docker.io/a/b:1",
    gpus: ["A10G"],
    timeoutSeconds: 60,
    scaledownWindowSeconds: 2,
    handler: { ...handlerInImage("handler"), sources: [{ localPath, remotePath: "/root/handler.py" }] },
  });
  ({ functionId } = runtime.transcribe);
});
afterEach(async () => await host.clearFaults());
afterAll(async () => {
  await runtime.close();
  await host[Symbol.asyncDispose]();
});

const input = (idx: number, value: unknown, seconds = 0): PlacedInput => ({
  idx,
  input: { args: [seconds, value], kwargs: {} },
});

async function open(inputs: readonly PlacedInput[]): Promise<string> {
  const { callId, started } = await partCalls.open({ functionId, inputs, signal });
  if (!started) await partCalls.start({ functionId, callId, inputs, signal });
  return callId;
}

/** Takes outputs until so many are there, each once. */
async function take(callId: string, count: number, calls = partCalls): Promise<PartOutput[]> {
  const outputs: PartOutput[] = [];
  let cursor: string | null = null;
  while (outputs.length < count) {
    const sight = await calls.poll({ callId, cursor, waitMs: 20_000, signal });
    outputs.push(...sight.outputs);
    ({ cursor } = sight);
  }
  return outputs;
}

const shown = ({ idx, end }: PartOutput) =>
  "value" in end ? `${idx} ${String(end.value)}` : `${idx} ${end.error.code}`;

describe("a call with several inputs", () => {
  test("gives each output as it comes, a failure as one of them, and takes more inputs meanwhile", async () => {
    const callId = await open([input(0, "slow", 1), input(1, "raise")]);
    const first = await partCalls.poll({ callId, cursor: null, waitMs: 20_000, signal });
    expect(first).toMatchObject({ unfinished: 1, outputs: [{ idx: 1 }] });
    expect(first.outputs.map(shown)).toEqual(["1 FUNCTION_FAILED"]);
    await partCalls.start({ functionId, callId, inputs: [input(2, "late")], signal });
    expect((await take(callId, 3)).map(shown).toSorted()).toEqual(["0 slow", "1 FUNCTION_FAILED", "2 late"]);
  });

  test("is known to another process: how many inputs it has, and its outputs from the beginning", async () => {
    const callId = await open([input(0, "a"), input(1, "b")]);
    await take(callId, 2);
    const elsewhere = modalPartCalls(host.open());
    const sight = await elsewhere.poll({ callId, cursor: null, waitMs: 0, signal });
    expect(sight).toMatchObject({ inputs: 2, unfinished: 0 });
    expect(sight.outputs.map(shown).toSorted()).toEqual(["0 a", "1 b"]);
  });

  test("that was opened and never started has none, and nothing runs", async () => {
    const { callId, started } = await partCalls.open({ functionId, inputs: [input(0, "a")], signal });
    expect(started).toBe(false);
    const sight = await partCalls.poll({ callId, cursor: null, waitMs: 0, signal });
    expect(sight).toMatchObject({ inputs: 0, unfinished: 0, outputs: [] });
  });

  test("goes with its inputs where the server refuses it without", async () => {
    await host.fault({ kind: "refuse-empty-map" });
    const opened = await partCalls.open({ functionId, inputs: [input(0, "a"), input(1, "b")], signal });
    expect(opened.started).toBe(true);
    expect((await take(opened.callId, 2)).map(shown).toSorted()).toEqual(["0 a", "1 b"]);
  });

  test("has each input once, whatever answers are lost", async () => {
    await host.fault({ rpc: "FunctionPutInputs", code: "UNAVAILABLE", lostAnswer: true });
    const callId = await open([input(0, "a"), input(1, "b")]);
    expect((await take(callId, 2)).map(shown).toSorted()).toEqual(["0 a", "1 b"]);
    const [call] = host.host.stats().calls.list.filter(({ id }) => id === callId);
    expect(call?.inputs).toBe(2);
  });

  test("is stopped as a whole, and one that is gone is lost", async () => {
    const callId = await open([input(0, "slow", 60), input(1, "slow", 60)]);
    await modalCalls(host.session).cancel({ callId, terminateContainers: true, signal });
    expect((await take(callId, 2)).map(shown).toSorted()).toEqual([
      "0 FUNCTION_TERMINATED",
      "1 FUNCTION_TERMINATED",
    ]);
    const gone = partCalls.poll({ callId: "fc-none", cursor: null, waitMs: 0, signal });
    await expect(gone).rejects.toMatchObject({ code: "CALL_LOST" });
  });
});
