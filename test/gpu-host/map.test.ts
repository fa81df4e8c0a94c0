import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Status } from "nice-grpc";
import { afterEach, expect, test } from "vitest";
import { startWithHandler as start } from "../helpers/gpu-host/calls.ts";
import { type ControlPlane, input, undoAll } from "../helpers/gpu-host/host.ts";

afterEach(undoAll);

const MAP = { functionCallType: 2, functionCallInvocationType: 3 } as const;

/** Collects outputs, a page at a time, as the Python SDK's `map` does. */
async function collect(cp: ControlPlane, functionCallId: string, wanted: number, maxValues = 0) {
  const outputs = [];
  for (let lastEntryId = "0-0"; outputs.length < wanted;) {
    const page = await cp.functionGetOutputs({ functionCallId, timeout: 20, lastEntryId, maxValues });
    outputs.push(...page.outputs);
    lastEntryId = page.lastEntryId;
  }
  return outputs;
}

test("a call takes many inputs, and gives each output once, in the order of the ends", async () => {
  const { host, cp, id, directory } = await start();
  const functionId = id("count");
  const file = (index: number) => join(directory, String(index));
  const items = [0, 1, 2, 3, 4].map((idx) => ({ ...input([file(idx)]), idx }));
  const { functionCallId } = await cp.functionMap({ functionId, ...MAP, pipelinedInputs: items.slice(0, 2) });
  const { inputs } = await cp.functionPutInputs({ functionId, functionCallId, inputs: items.slice(1) });
  expect(inputs.map(({ idx }) => idx)).toEqual([1, 2, 3, 4]);

  const outputs = await collect(cp, functionCallId, 5, 2);

  expect(outputs.map(({ idx }) => idx).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
  expect(outputs.map(({ result }) => result?.status)).toEqual([1, 1, 1, 1, 1]);
  const ends = outputs.map(({ outputCreatedAt }) => outputCreatedAt);
  expect(ends).toEqual(ends.toSorted((a, b) => a - b));
  // The input that was put twice ran once.
  expect(await readFile(file(1), "utf8")).toBe("ran ");
  const only = { functionCallId, timeout: 0, lastEntryId: "0-0", startIdx: 3, endIdx: 3 };
  expect((await cp.functionGetOutputs(only)).outputs.map(({ idx }) => idx)).toEqual([3]);
  expect(await cp.functionCallFromId({ functionCallId })).toMatchObject({ numInputs: 5 });
  const { info } = await cp.functionCallGetInfo({ functionId, functionCallId });
  expect(info).toMatchObject({ totalInputs: 5, succeededInputs: { total: 5 }, pendingInputs: { total: 0 } });
  expect(host.stats().calls).toMatchObject({ started: 1, succeeded: 1, list: [{ inputs: 5 }] });
  const finish = { functionId, functionCallId };
  await cp.functionFinishInputs({ ...finish, numInputs: 5 });
  await expect(cp.functionFinishInputs({ ...finish, numInputs: 6 })).rejects.toMatchObject({
    code: Status.FAILED_PRECONDITION,
  });
});

test("one input that fails is one output that failed", async () => {
  const { host, cp, id } = await start();
  const items = [3, 0].map((code, idx) => ({ ...input([code]), idx }));
  const { functionCallId } = await cp.functionMap({
    functionId: id("leave"),
    ...MAP,
    pipelinedInputs: items,
  });
  const echoed = await cp.functionMap({ functionId: id("echo"), ...MAP, pipelinedInputs: [input([1])] });

  const outputs = await collect(cp, functionCallId, 2);

  expect(new Map(outputs.map(({ idx, result }) => [idx, result?.status]))).toEqual(
    new Map([
      [0, 2],
      [1, 2],
    ]),
  );
  expect((await collect(cp, echoed.functionCallId, 1))[0]?.result?.status).toBe(1);
  expect(host.stats().calls).toMatchObject({ failed: 1, succeeded: 1 });
});

test("a cancel ends what runs and what waits, and takes no more", async () => {
  const { cp, id, directory } = await start({ maxConcurrentCalls: 1 });
  const functionId = id("slow");
  const items = [0, 1, 2].map((idx) => ({ ...input([join(directory, String(idx)), 60]), idx }));
  const { functionCallId } = await cp.functionMap({ functionId, ...MAP, pipelinedInputs: items });

  await cp.functionCallCancel({ functionCallId });

  const outputs = await collect(cp, functionCallId, 3);
  expect(outputs.map(({ result }) => result?.status)).toEqual([3, 3, 3]);
  await expect(
    cp.functionPutInputs({ functionId, functionCallId, inputs: [{ ...input([1]), idx: 3 }] }),
  ).rejects.toMatchObject({ code: Status.FAILED_PRECONDITION });
});
