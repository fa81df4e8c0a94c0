import { propagation, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { BullMQOtel } from "bullmq-otel";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Collector, type ReceivedSpan, startCollector } from "../helpers/telemetry/collector.ts";
import { SHORT_SAMPLE } from "../../support/dev.ts";
import { type Stack, startStack, type WorkerProcess } from "../../support/stack.ts";
import { root } from "../helpers/repo/sandbox.ts";

const [PRODUCER, CONSUMER, CLIENT] = [4, 5, 3];

let collector: Collector;
let stack: Stack;
let env: Record<string, string>;
beforeAll(async () => {
  collector = await startCollector();
  stack = await startStack({ maxConcurrentCalls: 2 });
  env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: "x-api-key=collector-key%20one",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test",
    OTEL_BSP_SCHEDULE_DELAY: "20",
    MIRUMOJI_HANDLER: join(root, "support/handler.py"),
    MIRUMOJI_LEASE: "2",
    MIRUMOJI_HEARTBEAT: "0.5",
    MIRUMOJI_LOGGING_LEVEL: "debug",
  };
  await Promise.all(
    ["wait2-a.mp4", "wait2-b.mp4", "wait60-c.mp4"].map(async (name) => await stack.put(name)),
  );
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await collector[Symbol.asyncDispose]();
});

/**
 * The spans of a job, oldest first, once its last one is there. The root comes first: the time of its first child is that
 * of Redis, in milliseconds, which can be a moment before.
 */
async function traceOf(id: string, last: string): Promise<ReceivedSpan[]> {
  const spans = () => {
    const named = collector.spans.filter(({ attributes }) => attributes["messaging.message.id"] === id);
    const ids = new Set(named.map(({ traceId }) => traceId));
    expect(ids.size, "traces of one job").toBeLessThan(2);
    return collector.spans.filter(({ traceId }) => ids.has(traceId));
  };
  await expect.poll(() => spans().map(({ name }) => name), { timeout: 15_000, interval: 20 }).toContain(last);
  const isChild = ({ parentSpanId }: ReceivedSpan) => Number(parentSpanId !== "");
  return spans().toSorted((a, b) => isChild(a) - isChild(b) || a.startedAt - b.startedAt);
}

/** Every span but the first hangs on another one of the same trace. */
function expectOneTree(spans: readonly ReceivedSpan[]): void {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const rootless = spans.filter(({ parentSpanId }) => !ids.has(parentSpanId));
  expect(rootless.map(({ name }) => name)).toEqual([spans[0]?.name]);
  expect(spans[0]?.parentSpanId).toBe("");
}

const children = (spans: readonly ReceivedSpan[], of: ReceivedSpan | undefined) =>
  spans.filter(({ parentSpanId }) => parentSpanId === of?.spanId);
const named = (spans: readonly ReceivedSpan[], name: string) => spans.filter((span) => span.name === name);
const shortNames = (spans: readonly ReceivedSpan[]) => spans.map(({ name }) => name.replace(/^.*\//u, ""));
const inCall = async (id: string, started: number) => {
  await stack.seen(id, ({ state }) => state === "call" && stack.host.stats().calls.started === started);
};
const submit = async (input: string): Promise<string> => {
  const args = ["submit", "transcribe", input, "--language", "en", "--json"];
  const { stdout, stderr } = await stack.command(args, { ...env, HOST_MEDIA_PATH: "" });
  expect(stderr).toBe("");
  return (JSON.parse(stdout) as { id: string }).id;
};

describe("the trace of a job", () => {
  let second: WorkerProcess;

  it("goes on in another worker when the first one is killed in mid-call", async () => {
    const first = await stack.startWorker(env);
    const id = await submit("wait2-a.mp4");
    await inCall(id, 1);
    const put = () => collector.spans.find(({ name }) => name.endsWith("/FunctionPutInputs"));
    await expect.poll(put, { timeout: 10_000, interval: 10 }).toBeDefined();
    await first.kill("SIGKILL");
    second = await stack.startWorker(env);
    expect((await stack.client.wait(id, { pollMs: 50 })).status).toBe("completed");
    const spans = await traceOf(id, "complete transcribe");
    expectOneTree(spans);
    expect(spans.filter(({ isError }) => isError)).toEqual([]);

    const [add] = spans;
    expect(add).toMatchObject({
      name: "add transcribe",
      kind: PRODUCER,
      attributes: {
        "messaging.system.name": "bullmq",
        "messaging.destination.name": "transcribe",
        "messaging.operation.type": "send",
      },
      resource: {
        "service.name": "mirumoji-worker",
        "mirumoji.role": "client",
        "deployment.environment.name": "test",
      },
    });
    expect(shortNames(children(spans, add))).toEqual([
      "queued",
      "receive transcribe",
      "gpu call",
      "receive transcribe",
    ]);
    const [before, after] = named(spans, "receive transcribe");
    expect([before, after].map((span) => span?.attributes["mirumoji.resumed_at"])).toEqual([
      undefined,
      "call",
    ]);
    expect([before, after].map((span) => span?.attributes["mirumoji.crashes"])).toEqual([0, 1]);
    for (const received of [before, after]) {
      expect(received).toMatchObject({ kind: CONSUMER, resource: { "mirumoji.role": "worker" } });
    }
    expect(before?.resource["service.instance.id"]).not.toBe(after?.resource["service.instance.id"]);
    expect(shortNames(children(spans, before))).toEqual(["createVolume", "upload", "call"]);
    expect(shortNames(children(spans, after)).filter((name) => name !== "AppGetLogs")).toEqual([
      "call",
      "download",
      "deleteVolume",
      "complete transcribe",
    ]);
    const states = spans.filter(({ attributes }) => "mirumoji.state" in attributes);
    expect(states.map(({ attributes }) => attributes["mirumoji.outcome"])).toEqual([
      "done",
      "done",
      "pending",
      "done",
      "done",
      "done",
    ]);
    // The call was opened by the one worker and ended under the other one.
    const [call] = named(spans, "gpu call");
    expect(call?.startedAt).toBeLessThan(after?.startedAt ?? 0);
    expect(call?.endedAt).toBeGreaterThan(after?.startedAt ?? 0);
    expect(Number(call?.attributes["mirumoji.call.run_seconds"])).toBeGreaterThan(1.9);
  });

  it("has every request to Modal below its state, and transfers as one span each", async () => {
    const spans = collector.spans.filter(({ name }) => name !== "AppGetLogs");
    const below = (state: string) =>
      shortNames(named(spans, state).flatMap((span) => children(spans, span))).toSorted();
    expect(below("createVolume")).toContain("VolumeGetOrCreate");
    expect(below("upload")).toEqual(
      expect.arrayContaining(["VolumePutFiles2", "VolumeListFiles2", "transfer upload", "FunctionMap"]),
    );
    expect(below("call")).toContain("FunctionPutInputs");
    expect(below("download")).toEqual(expect.arrayContaining(["VolumeGetFile2", "transfer download"]));
    expect(below("deleteVolume")).toEqual(["VolumeDelete"]);
    const [sent] = named(spans, "transfer upload");
    expect(sent?.attributes).toMatchObject({
      "mirumoji.transfer.bytes": statSync(SHORT_SAMPLE).size,
      "mirumoji.outcome": "done",
    });
    expect(spans.find(({ name }) => name.endsWith("/FunctionMap"))).toMatchObject({
      kind: CLIENT,
      name: "modal.client.ModalClient/FunctionMap",
      attributes: {
        "rpc.system.name": "grpc",
        "rpc.method": "modal.client.ModalClient/FunctionMap",
        "rpc.status_code": "OK",
      },
    });
    // Heartbeats, registrations and other work for no job in particular are in no trace.
    expect(new Set(collector.spans.map(({ traceId }) => traceId)).size).toBe(1);
    await Promise.resolve();
  });

  it("is named in every log line about the job", async () => {
    const lines = second.log().trim().split("\n");
    const about = lines.filter((line) => line.includes('"jobId"'));
    expect(about.length).toBeGreaterThan(5);
    const [add] = collector.spans.filter(({ name }) => name === "add transcribe");
    for (const line of about) {
      expect(JSON.parse(line)).toMatchObject({
        trace_id: add?.traceId,
        span_id: expect.stringMatching(/^\w{16}$/u),
      });
    }
    expect(lines.find((line) => line.includes("worker is ready"))).not.toContain("trace_id");
    await Promise.resolve();
  });

  it("shows a failure with its code, and the life after a retry", async () => {
    const id = await submit("later.mp4");
    expect((await stack.client.wait(id, { pollMs: 50 })).status).toBe("failed");
    await stack.put("later.mp4");
    expect((await stack.command(["retry", id, "--json"], env)).code).toBe(0);
    expect((await stack.client.wait(id, { pollMs: 50 })).status).toBe("completed");
    const spans = await traceOf(id, "complete transcribe");
    expectOneTree(spans);
    const wrong = spans.filter(({ isError }) => isError);
    expect(wrong.map(({ name }) => name)).toEqual(["createVolume", "fail transcribe"]);
    for (const { attributes, message } of wrong) {
      expect(attributes["error.type"]).toBe("INPUT_NOT_FOUND");
      expect(message).toMatch(/^INPUT_NOT_FOUND: /u);
    }
    const steps = shortNames(spans).filter((name) => /^(retry|receive|undo|fail|complete)/u.test(name));
    expect(steps).toEqual([
      "receive transcribe",
      "undo",
      "fail transcribe",
      "retry transcribe",
      "receive transcribe",
      "complete transcribe",
    ]);
  });

  it("shows who asked for a cancel, and what became of it", async () => {
    const api = await stack.startApi({ ...env, BOARD_WRITE: "1" });
    const id = await submit("wait60-c.mp4");
    await inCall(id, 3);
    const asked = await fetch(`${api.ready.apiUrl}/jobs/${id}/cancel`, {
      method: "POST",
      redirect: "manual",
    });
    expect(asked.status).toBe(303);
    expect((await stack.client.wait(id, { pollMs: 50 })).status).toBe("cancelled");
    const spans = await traceOf(id, "undo");
    await expect.poll(() => named(collector.spans, "cancel transcribe").length, { timeout: 5000 }).toBe(2);
    const [asking, ended] = named(await traceOf(id, "cancel transcribe"), "cancel transcribe");
    expect(asking).toMatchObject({
      resource: { "mirumoji.role": "api" },
      attributes: { "mirumoji.answer": "active" },
    });
    expect(ended).toMatchObject({
      resource: { "mirumoji.role": "worker" },
      attributes: { "mirumoji.status": "cancelled", "messaging.operation.type": "settle" },
    });
    const outcomes = named(spans, "call").map(({ attributes }) => attributes["mirumoji.outcome"]);
    expect(outcomes).toEqual(["pending", "cancelled"]);
    const [undo] = named(spans, "undo");
    expect(shortNames(children(spans, undo))).toEqual(
      expect.arrayContaining(["FunctionCallCancel", "VolumeDelete"]),
    );
    expect(spans.filter(({ isError }) => isError)).toEqual([]);
    expect(await api.kill("SIGTERM")).toBe(0);
  });

  it("begins with the first worker when the producer traces nothing, and is handed over like the job", async () => {
    const { id } = await stack.client.submit("transcribe", { input: "wait2-b.mp4", language: "en" });
    await inCall(id, 4);
    expect(await second.kill("SIGTERM")).toBe(0);
    second = await stack.startWorker(env);
    expect((await stack.client.wait(id, { pollMs: 50 })).status).toBe("completed");
    const spans = await traceOf(id, "complete transcribe");
    expectOneTree(spans);
    expect(spans[0]?.name).toBe("queued");
    expect(named(spans, "queued")).toHaveLength(1);
    const workers = new Set(spans.map(({ resource }) => resource["service.instance.id"]));
    expect(workers.size).toBe(2);
    expect(named(spans, "release transcribe")[0]).toMatchObject({
      isError: false,
      attributes: { "mirumoji.code": "INTERRUPTED", "mirumoji.state": "call" },
    });
  });

  it("goes on from what bullmq-otel wrote, and is written so that it could read it", async () => {
    const provider = new TracerProvider();
    trace.setGlobalTracerProvider(provider);
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    const queue = new Queue("transcribe", {
      connection: { url: stack.redisUrl },
      prefix: "{mirumoji}",
      telemetry: new BullMQOtel({ tracerName: "somebody else" }),
    });
    try {
      const jobId = randomUUID();
      const data = { v: 1, input: "wait2-a.mp4", language: "en", overwrite: true };
      const job = await queue.add("transcribe", data, { jobId });
      const carrier = placeIn((await queue.getJob(jobId))?.opts.telemetry?.metadata);
      expect((await stack.client.wait(jobId, { pollMs: 50 })).status).toBe("completed");
      const spans = await traceOf(jobId, "complete transcribe");
      expect(spans[0]).toMatchObject({ name: "queued", ...carrier });
      expect(job.id).toBe(jobId);
      const ours = await queue.getJob(await submit("absent.mp4"));
      const [add] = collector.spans.filter(
        ({ name, attributes }) =>
          name === "add transcribe" && attributes["messaging.message.id"] === ours?.id,
      );
      expect(placeIn(ours?.opts.telemetry?.metadata)).toEqual({
        traceId: add?.traceId,
        parentSpanId: add?.spanId,
      });
    } finally {
      await queue.close();
      trace.disable();
      propagation.disable();
    }
  });

  it("ends where the reaper removes what was left of the job", async () => {
    const id = collector.spans.find(({ name }) => name === "complete transcribe")?.attributes[
      "messaging.message.id"
    ];
    const entry = { queue: "transcribe", jobId: id, createdAt: Date.now(), callId: null, appId: null };
    const redis = new Redis(stack.redisUrl);
    await redis.hset("{mirumoji}:ledger", "vo-left", JSON.stringify(entry));
    redis.disconnect();
    const spans = await traceOf(String(id), "reap transcribe");
    expectOneTree(spans);
    expect(spans.at(-1)?.attributes["mirumoji.answer"]).toBe("job finished");
  });

  it("records the cancel of a job that no worker ever had", async () => {
    expect(await second.kill("SIGTERM")).toBe(0);
    const id = await submit("wait2-a.mp4");
    expect((await stack.command(["cancel", id, "--json"], env)).code).toBe(0);
    const spans = await traceOf(id, "cancel transcribe");
    expectOneTree(spans);
    expect(shortNames(spans)).toEqual(["add transcribe", "cancel transcribe"]);
    expect(spans[1]?.attributes["mirumoji.answer"]).toBe("taken");
  });

  it("tells no secret, no signed address and nothing of what is in the files", async () => {
    const bodies = collector.requests.map(({ body }) => body.toString()).join("\n");
    const heard = (await readFile(join(stack.mediaRoot, "wait2-a.srt"), "utf8")).split("\n")[2] ?? "";
    expect(heard).toMatch(/^\w{32,}$/u);
    const secrets = [stack.host.tokenId, stack.host.tokenSecret, "collector-key", heard, stack.redisUrl];
    expect(secrets.filter((secret) => secret === "" || bodies.includes(secret))).toEqual([]);
    expect(bodies).not.toMatch(/https?:|signature|film|\.mp4|\.srt/u);
    expect(collector.requests[0]?.headers).toContain("collector-key one");
  });
});

/** The parts of a carrier: JSON with W3C's `traceparent`. */
function placeIn(carrier: string | undefined): { traceId: string; parentSpanId: string } {
  const { traceparent } = JSON.parse(carrier ?? "{}") as { traceparent?: string };
  const [, traceId = "", parentSpanId = ""] = (traceparent ?? "").split("-");
  return { traceId, parentSpanId };
}
