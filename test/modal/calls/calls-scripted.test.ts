import { decode, encode } from "cbor-x";
import { ClientError, Status } from "nice-grpc";
import { describe, expect, test, vi } from "vitest";
import { MirumojiError } from "../../../src/job/errors.ts";
import { modalCalls } from "../../../src/modal/calls/calls.ts";
import type { LogLine } from "../../../src/ports/calls.ts";
import { startHttpStore } from "../../helpers/modal/http-store.ts";
import { scriptedSession } from "../../helpers/modal/scripted-session.ts";

const { signal } = new AbortController();
const input = { args: ["in.mkv", "vo-1"], kwargs: { preset: "fast" } };
const called = { functionId: "fu-1", input, signal };
const refusal = (status: Status): ClientError => new ClientError("/FunctionMap", status, "wants an input");

/** A server that refuses a map without input with `status`, and echoes a map with one or not. */
function pickyServer(status: Status, { echoes = true } = {}) {
  return scriptedSession({
    functionMap: async ({ pipelinedInputs }: { pipelinedInputs?: object[] }) => {
      if (pipelinedInputs === undefined) throw refusal(status);
      return { functionCallId: "fc-1", pipelinedInputs: echoes ? [{ idx: 0, inputId: "in-1" }] : [] };
    },
  });
}

describe("opening a call", () => {
  test("sends no input, asynchronously, and starts nothing", async () => {
    const session = scriptedSession({
      functionMap: async () => ({ functionCallId: "fc-1", pipelinedInputs: [] }),
    });
    expect(await modalCalls(session).open(called)).toEqual({ callId: "fc-1", started: false });
    expect(session.asked).toEqual([
      ["functionMap", { functionId: "fu-1", functionCallType: 1, functionCallInvocationType: 3 }],
    ]);
  });

  test.each([
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "UNIMPLEMENTED",
    "OUT_OF_RANGE",
    "INTERNAL",
    "UNKNOWN",
  ] as const)("sends the input with it where the server answers %s to none", async (status) => {
    const session = pickyServer(Status[status]);
    expect(await modalCalls(session).open(called)).toEqual({ callId: "fc-1", started: true });
    const sent = session.asked[1]?.[1] as { pipelinedInputs: { idx: number; input: { args: Uint8Array } }[] };
    const [item] = sent.pipelinedInputs;
    expect(item).toMatchObject({ idx: 0, input: { dataFormat: 4 } });
    expect(decode(item?.input.args ?? new Uint8Array())).toEqual([input.args, input.kwargs]);
  });

  test("leaves the input to be put where the server took the map but not the input", async () => {
    const session = pickyServer(Status.INVALID_ARGUMENT, { echoes: false });
    expect(await modalCalls(session).open(called)).toEqual({ callId: "fc-1", started: false });
  });

  test.each([
    ["UNAVAILABLE", "MODAL_UNAVAILABLE"],
    ["DEADLINE_EXCEEDED", "MODAL_UNAVAILABLE"],
    ["RESOURCE_EXHAUSTED", "MODAL_THROTTLED"],
    ["UNAUTHENTICATED", "MODAL_UNAUTHENTICATED"],
    ["NOT_FOUND", "APP_LOST"],
  ] as const)(
    "never sends an input after %s: that refuses no shape, and an input costs money",
    async (status, code) => {
      const session = pickyServer(Status[status]);
      await expect(modalCalls(session).open(called)).rejects.toMatchObject({ code });
      expect(session.asked).toHaveLength(1);
    },
  );
});

describe("a call that is opened ahead", () => {
  const opener = () => {
    let serial = 0;
    const functionMap = async ({ functionId }: { functionId: string }) => ({
      functionCallId: `fc-${functionId}-${(serial += 1)}`,
      pipelinedInputs: [],
    });
    return scriptedSession({ functionMap });
  };

  test("is given once, to its own function, without another request", async () => {
    const session = opener();
    const calls = modalCalls(session);
    calls.openAhead({ functionId: "fu-1" });
    expect(await calls.open({ ...called, functionId: "fu-2" })).toMatchObject({ callId: "fc-fu-2-2" });
    expect(await calls.open(called)).toEqual({ callId: "fc-fu-1-1", started: false });
    expect(await calls.open(called)).toMatchObject({ callId: "fc-fu-1-3" });
    expect(session.asked).toHaveLength(3);
  });

  test("is forgotten after half a minute", async () => {
    const calls = modalCalls(opener());
    calls.openAhead({ functionId: "fu-1" });
    const later = vi.spyOn(performance, "now").mockReturnValue(performance.now() + 31_000);
    expect(await calls.open(called)).toMatchObject({ callId: "fc-fu-1-2" });
    later.mockRestore();
  });

  test("never sends an input, and is opened again where the server refused it", async () => {
    const session = pickyServer(Status.INVALID_ARGUMENT);
    const calls = modalCalls(session);
    calls.openAhead({ functionId: "fu-1" });
    await vi.waitFor(() => expect(session.asked).toHaveLength(1));
    expect(session.asked[0]?.[1]).not.toHaveProperty("pipelinedInputs");
    expect(await calls.open(called)).toEqual({ callId: "fc-1", started: true });
  });
});

describe("the first look at a call", () => {
  const output = { result: { status: 1, data: encode("done") }, dataFormat: 4 };
  const server = (found: { outputs: object[]; numUnfinishedInputs: number }[]) =>
    scriptedSession({
      functionPutInputs: async () => ({ inputs: [{ idx: 0 }] }),
      functionGetOutputs: async () => found.shift(),
    });
  const names = ({ asked }: { asked: [string, unknown][] }) => asked.map(([name]) => name);
  const poll = { callId: "fc-1", waitMs: 25_000, signal };

  test("goes out with the input, and is what the next poll gives", async () => {
    const session = server([{ outputs: [output], numUnfinishedInputs: 0 }]);
    const calls = modalCalls(session);
    await calls.start({ ...called, callId: "fc-1" });
    expect(await calls.poll(poll)).toMatchObject({ kind: "succeeded", value: "done" });
    expect(names(session)).toEqual(["functionPutInputs", "functionGetOutputs"]);
  });

  test("is not believed where the server had not seen the input yet", async () => {
    const session = server([
      { outputs: [], numUnfinishedInputs: 0 },
      { outputs: [], numUnfinishedInputs: 1 },
    ]);
    const calls = modalCalls(session);
    await calls.start({ ...called, callId: "fc-1" });
    expect(await calls.poll(poll)).toEqual({ kind: "running" });
    expect(session.asked).toHaveLength(3);
  });

  test("is given up by a poll that may not wait as long", async () => {
    let isAborted = false;
    const session = scriptedSession({
      functionPutInputs: async () => ({ inputs: [{ idx: 0 }] }),
      functionGetOutputs: async ({ timeout }: { timeout: number }, { signal: stop }) => {
        if (timeout < 10) return { outputs: [output], numUnfinishedInputs: 0 };
        return await new Promise((_resolve, reject) =>
          stop?.addEventListener("abort", () => ((isAborted = true), reject(new Error("stopped")))),
        );
      },
    });
    const calls = modalCalls(session);
    await calls.start({ ...called, callId: "fc-1" });
    expect(await calls.poll({ ...poll, waitMs: 3000 })).toMatchObject({ kind: "succeeded" });
    expect(isAborted).toBe(true);
  });
});

describe("starting a call", () => {
  test("puts one input, as item 0", async () => {
    const session = scriptedSession({ functionPutInputs: async () => ({ inputs: [{ idx: 0 }] }) });
    await modalCalls(session).start({ ...called, callId: "fc-1" });
    expect(session.asked).toMatchObject([
      [
        "functionPutInputs",
        { functionId: "fu-1", functionCallId: "fc-1", inputs: [{ idx: 0, input: { dataFormat: 4 } }] },
      ],
    ]);
  });

  test("is believed for a minute, though the server does not show its input yet", async () => {
    const session = scriptedSession({
      functionPutInputs: async () => ({ inputs: [{ idx: 0 }] }),
      functionGetOutputs: async () => ({ outputs: [], numUnfinishedInputs: 0 }),
      functionCallFromId: async () => ({ numInputs: 0 }),
    });
    const calls = modalCalls(session);
    const poll = async () => await calls.poll({ callId: "fc-1", waitMs: 0, signal: called.signal });
    await calls.start({ ...called, callId: "fc-1" });
    expect(await poll()).toEqual({ kind: "running" });
    const later = vi.spyOn(performance, "now").mockReturnValue(performance.now() + 61_000);
    expect(await poll()).toEqual({ kind: "empty" });
    later.mockRestore();
    expect(await modalCalls(session).poll({ callId: "fc-1", waitMs: 0, signal: called.signal })).toEqual({
      kind: "empty",
    });
  });

  test("into a full queue is throttling", async () => {
    const session = scriptedSession({ functionPutInputs: async () => ({ inputs: [] }) });
    await expect(modalCalls(session).start({ ...called, callId: "fc-1" })).rejects.toMatchObject({
      code: "MODAL_THROTTLED",
      kind: "quota",
    });
  });

  test("sends arguments over 8 KiB as a blob with its checksum, in either form of the answer", async () => {
    await using store = await startHttpStore((_, response) => response.end());
    const large = { args: ["x".repeat(9000)], kwargs: {} };
    for (const answer of [
      { blobId: "bl-1", uploadUrl: `${store.url}/one`, blobIds: [] },
      { blobId: "", blobIds: ["bl-1"], uploadUrls: { items: [`${store.url}/two`] } },
    ]) {
      const session = scriptedSession({
        blobCreate: async () => answer,
        functionPutInputs: async () => ({ inputs: [{ idx: 0 }] }),
      });
      await modalCalls(session).start({ ...called, input: large, callId: "fc-1" });
      expect(session.asked[1]).toMatchObject([
        "functionPutInputs",
        { inputs: [{ input: { argsBlobId: "bl-1" } }] },
      ]);
    }
    expect(store.requests.map(({ path }) => path)).toEqual(["/one", "/two"]);
    expect(decode(store.requests[0]?.body ?? Buffer.alloc(0))).toEqual([large.args, {}]);
    expect(store.requests[0]?.headers["content-md5"]).toMatch(/==$/);
  });

  test("tries every store that the server lists for a blob, in order, and fails with the last", async () => {
    await using store = await startHttpStore(({ path }, response) => {
      response.writeHead(path === "/third" ? 200 : 403).end();
    });
    const large = { args: ["x".repeat(9000)], kwargs: {} };
    const start = async (...places: string[]): Promise<unknown> => {
      const session = scriptedSession({
        blobCreate: async () => ({
          blobId: "",
          blobIds: places.map((place) => `bl-${place}`),
          uploadUrls: { items: places.map((place) => `${store.url}/${place}`) },
        }),
        functionPutInputs: async () => ({ inputs: [{ idx: 0 }] }),
      });
      await modalCalls(session).start({ ...called, input: large, callId: "fc-1" });
      return session.asked[1]?.[1];
    };
    expect(await start("first", "second", "third")).toMatchObject({
      inputs: [{ input: { argsBlobId: "bl-third" } }],
    });
    expect(store.requests.map(({ path }) => path)).toEqual(["/first", "/second", "/third"]);
    await expect(start("first", "second")).rejects.toMatchObject({ code: "TRANSFER_FAILED" });
  });
});

describe("asking for a call", () => {
  const outputs = (...items: object[]): object => ({ outputs: items, numUnfinishedInputs: 0 });
  const success = { result: { status: 1, data: encode({ v: 1 }) }, dataFormat: 4 };
  const poll = (session: ReturnType<typeof scriptedSession>, waitMs = 0) =>
    modalCalls(session).poll({ callId: "fc-1", waitMs, signal });

  test("keeps the result on the server and waits no longer than Modal allows", async () => {
    const session = scriptedSession({ functionGetOutputs: async () => outputs(success) });
    expect(await poll(session, 600_000)).toEqual({ kind: "succeeded", value: { v: 1 }, runSeconds: null });
    expect(session.asked).toMatchObject([
      [
        "functionGetOutputs",
        { timeout: 55, clearOnSuccess: false, lastEntryId: "0-0", maxValues: 1, startIdx: 0, endIdx: 0 },
      ],
    ]);
  });

  test("with an unfinished input says running", async () => {
    const session = scriptedSession({
      functionGetOutputs: async () => ({ outputs: [], numUnfinishedInputs: 1 }),
    });
    expect(await poll(session)).toEqual({ kind: "running" });
  });

  test("without any input says empty", async () => {
    const session = scriptedSession({
      functionGetOutputs: async () => outputs(),
      functionCallFromId: async () => ({ numInputs: 0 }),
    });
    expect(await poll(session)).toEqual({ kind: "empty" });
  });

  test("whose result expired is CALL_LOST", async () => {
    const session = scriptedSession({
      functionGetOutputs: async () => outputs(),
      functionCallFromId: async () => ({ numInputs: 1 }),
    });
    await expect(poll(session)).rejects.toMatchObject({ code: "CALL_LOST" });
  });

  test("that the server does not know is CALL_LOST", async () => {
    const session = scriptedSession({
      functionGetOutputs: async () => {
        throw refusal(Status.NOT_FOUND);
      },
    });
    await expect(poll(session)).rejects.toMatchObject({ code: "CALL_LOST" });
    expect(session.asked).toHaveLength(2);
  });

  test("whose input is counted a moment late is neither empty nor lost: it is not paid twice", async () => {
    for (const numInputs of [0, 1]) {
      let looks = 0;
      const session = scriptedSession({
        functionGetOutputs: async () => ({ outputs: [], numUnfinishedInputs: ++looks === 1 ? 0 : 1 }),
        functionCallFromId: async () => ({ numInputs }),
      });
      expect(await poll(session)).toEqual({ kind: "running" });
    }
  });

  test("gives a failure its own code", async () => {
    const failure = { result: { status: 4, exception: "", traceback: "", exitcode: 0 }, dataFormat: 0 };
    const session = scriptedSession({ functionGetOutputs: async () => outputs(failure) });
    await expect(poll(session)).rejects.toMatchObject({ code: "FUNCTION_TIMED_OUT" });
  });

  test("whose large result is stored apart fetches it", async () => {
    await using store = await startHttpStore((_, response) => response.end(encode("x".repeat(20_000))));
    const session = scriptedSession({
      functionGetOutputs: async () => outputs({ result: { status: 1, dataBlobId: "bl-1" }, dataFormat: 4 }),
      blobGet: async () => ({ downloadUrl: store.url }),
    });
    expect(await poll(session)).toMatchObject({ kind: "succeeded", value: "x".repeat(20_000) });
  });

  test("stops within 100 ms of an abort, even when the SDK does not", async () => {
    const session = scriptedSession({ functionGetOutputs: async () => await new Promise(() => {}) });
    const controller = new AbortController();
    const reason = new MirumojiError("CANCELLED", "somebody asked");
    const polling = modalCalls(session).poll({ callId: "fc-1", waitMs: 50_000, signal: controller.signal });
    const startedAt = performance.now();
    controller.abort(reason);
    await expect(polling).rejects.toBe(reason);
    expect(performance.now() - startedAt).toBeLessThan(100);
  });
});

describe("cancelling a call", () => {
  test("asks for it, and is content when it is unknown", async () => {
    const session = scriptedSession({
      functionCallCancel: async () => {
        throw refusal(Status.NOT_FOUND);
      },
    });
    await modalCalls(session).cancel({ callId: "fc-1", terminateContainers: true });
    expect(session.asked).toEqual([
      ["functionCallCancel", { functionCallId: "fc-1", terminateContainers: true }],
    ]);
  });

  test("does not hide other failures", async () => {
    const session = scriptedSession({
      functionCallCancel: async () => {
        throw refusal(Status.UNAVAILABLE);
      },
    });
    const cancelling = modalCalls(session).cancel({ callId: "fc-1", terminateContainers: false });
    await expect(cancelling).rejects.toMatchObject({ code: "MODAL_UNAVAILABLE" });
  });
});

describe("following the logs of a call", () => {
  const batch = (entryId: string, items: object[], appDone = false): object => ({ entryId, items, appDone });
  const item = (data: string, fileDescriptor = 1): object => ({ data, fileDescriptor });

  test("gives whole lines per stream and goes on after the last entry when a stream breaks", async () => {
    const streams: (object | Error)[][] = [
      [batch("1", [item("one\ntw"), item("oops\n", 2)]), refusal(Status.UNAVAILABLE)],
      [],
      [batch("2", [item("o\nthree"), item("starting\n", 3)], true)],
    ];
    const session = scriptedSession({
      appGetLogs: async function* () {
        for (const next of streams.shift() ?? []) {
          if (next instanceof Error) throw next;
          yield next;
        }
      },
    });
    const lines: LogLine[] = [];
    const follow = { appId: "ap-1", callId: "fc-1", signal };
    await modalCalls(session).followLogs({ ...follow, onLine: (line) => lines.push(line) });
    expect(lines.map(({ stream, text }) => `${stream}: ${text}`)).toEqual([
      "stdout: one",
      "stderr: oops",
      "stdout: two",
      "system: starting",
      "stdout: three",
    ]);
    expect(session.asked.map(([, request]) => request)).toMatchObject(
      ["", "1", "1"].map((lastEntryId) => ({
        appId: "ap-1",
        functionCallId: "fc-1",
        lastEntryId,
      })),
    );
  });

  test("ends quietly with its signal", async () => {
    const controller = new AbortController();
    const session = scriptedSession({
      appGetLogs: async function* (_: never, options: { signal?: AbortSignal }) {
        await new Promise((_resolve, reject) => options.signal?.addEventListener("abort", reject));
        yield {};
      },
    });
    const follow = { appId: "ap-1", callId: "fc-1", signal: controller.signal };
    const following = modalCalls(session).followLogs({ ...follow, onLine: () => {} });
    controller.abort();
    expect(await following).toBeUndefined();
  });
});
