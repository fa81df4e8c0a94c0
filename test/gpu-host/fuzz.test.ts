import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { Agent, request as httpRequest } from "node:http";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Socket } from "node:net";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import type { GpuHost } from "../../src/gpu-host/host.ts";
import { silentLog } from "../../src/gpu-host/log.ts";
import { Child, type ChildReport } from "../../src/gpu-host/run/child.ts";
import { LineSplitter } from "../../src/gpu-host/run/line-splitter.ts";
import { reportedResult } from "../../src/gpu-host/run/result.ts";
import { Blobs } from "../../src/gpu-host/store/blobs.ts";
import { openState } from "../../src/gpu-host/store/state.ts";
import { randomMessages } from "../helpers/gpu-host/random-messages.ts";
import {
  connect,
  input,
  newVolume,
  register,
  startHost,
  temporaryDirectory,
  undoAll,
} from "../helpers/gpu-host/host.ts";
import { watchStalls } from "../helpers/gpu-host/stalls.ts";

/*
 * Ten thousand inputs for each way into the host, with a fixed seed: it answers or refuses each of them, never ends,
 * and never lets others wait for a tenth of a second.
 */
const INPUTS = process.env["CRASH_LONG"] === "1" ? 10_000 : 2500;
const AT_A_TIME = 50;
const SEED = 1_864;
/** Message of gRPC for a stream that the other side did not look at. */
const REFUSED = "Stream refused by server";

afterEach(undoAll);

/** Runs `send` for each number, some at a time. */
async function flood(send: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < INPUTS) await send(next++);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, lane));
}

function headersOf(host: GpuHost): Metadata {
  const metadata = new Metadata();
  metadata.set("x-modal-client-type", "1");
  metadata.set("x-modal-client-version", "1.5.4");
  metadata.set("x-modal-token-id", host.tokenId);
  metadata.set("x-modal-token-secret", host.tokenSecret);
  return metadata;
}

test("gRPC messages", async () => {
  const host = await startHost({ python: "/nonexistent", logger: silentLog });
  const cp = connect(host);
  const { appId, functions } = await register(cp, "def echo(*args):\n    return args\n", ["echo"], {
    appState: 3,
  });
  const functionId = functions["echo"] ?? "";
  const { functionCallId } = await cp.functionMap({
    functionId,
    functionCallType: 2,
    pipelinedInputs: [input([1])],
  });
  const { blobId } = await cp.blobCreate({ contentLength: 3 });
  const ids = [appId, functionId, functionCallId, blobId, await newVolume(cp)];
  const next = randomMessages(SEED, ids);
  const client = new Client(new URL(host.serverUrl).host, credentials.createInsecure());
  const metadata = headersOf(host);
  const bytes = (data: Buffer): Buffer => data;
  const unhandled: string[] = [];

  const stalls = watchStalls();
  await flood(async () => {
    const { path, message, isStream } = next();
    const send = async () =>
      await new Promise<ServiceError | null>((resolve) => {
        const options = { deadline: Date.now() + 2_000 };
        if (!isStream) {
          client.makeUnaryRequest(path, bytes, bytes, message, metadata, options, (failure) =>
            resolve(failure),
          );
          return;
        }
        const stream = client.makeServerStreamRequest(path, bytes, bytes, message, metadata, options);
        stream.on("data", () => undefined);
        stream.on("error", (failure: ServiceError) => resolve(failure));
        stream.on("end", () => resolve(null));
      });
    let error = await send();
    // HTTP/2 closes a connection on which many streams were reset. What it refuses never reached the host.
    while (error?.details === REFUSED) {
      await nextTurn();
      error = await send();
    }
    // Errors that nobody thought of come out as UNKNOWN.
    if (error?.code === status.UNKNOWN) unhandled.push(`${path}: ${error.details}`);
  });

  client.close();
  expect([...new Set(unhandled)]).toEqual([]);
  expect(stalls()).toEqual([]);
  await newVolume(cp);
});

test("HTTP requests", async () => {
  const host = await startHost({ logger: silentLog });
  const random = fc.sample(
    fc.record({
      method: fc.constantFrom("GET", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"),
      path: fc.oneof(
        fc.webPath(),
        fc
          .constantFrom("/block/", "/blob/", "/stats?token=", "/admin/faults?token=")
          .chain((start) => fc.oneof(fc.base64String(), fc.webFragments()).map((end) => start + end)),
      ),
      length: fc.constantFrom("0", "1", "12345678901234567890", "-1", "x"),
      body: fc.uint8Array({ maxLength: 64 }),
    }),
    { numRuns: INPUTS, seed: SEED },
  );
  const agent = new Agent({ keepAlive: true, maxSockets: AT_A_TIME });
  const [port = 0] = host.httpPorts;
  const statuses = new Set<number>();

  const stalls = watchStalls();
  await flood(async (index) => {
    const { method, path, body, length } = random[index] ?? {
      method: "GET",
      path: "/",
      body: [],
      length: "0",
    };
    await new Promise<void>((resolve) => {
      const headers = index % 10 === 0 ? { "content-length": length } : { "content-length": body.length };
      const request = httpRequest({ port, method, path: path === "" ? "/" : path, headers, agent });
      request.on("response", (response) => {
        statuses.add(response.statusCode ?? 0);
        response.resume().on("close", resolve);
      });
      request.on("error", () => resolve());
      request.setTimeout(2_000, () => request.destroy());
      if (index % 10 === 0) request.destroy();
      else request.end(Buffer.from(body));
    });
  });

  agent.destroy();
  expect([...statuses].filter((code) => code >= 500)).toEqual([]);
  expect(stalls()).toEqual([]);
  expect((await fetch(host.statsUrl)).status).toBe(200);
});

test("records", async () => {
  const dataDir = await temporaryDirectory();
  const kinds = ["apps", "functions", "mounts", "images", "volumes", "calls", "inputs"];
  const contents = fc.sample(
    fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .record({ id: fc.constant("xx-1"), state: fc.anything(), inputFormats: fc.anything() })
        .map((value) => {
          return (
            JSON.stringify(value, (_key, inner: unknown) => (typeof inner === "bigint" ? 0 : inner)) ?? ""
          );
        }),
    ),
    { numRuns: INPUTS, seed: SEED },
  );
  for (const kind of kinds) await mkdir(join(dataDir, "state", kind), { recursive: true });
  const files = contents.map((text, index) => ({
    text,
    kind: kinds[index % kinds.length] ?? "",
    name: `xx-${index}.json`,
  }));
  for (let start = 0; start < files.length; start += 500) {
    const batch = files.slice(start, start + 500);
    await Promise.all(
      batch.map(({ text, kind, name }) => writeFile(join(dataDir, "state", kind, name), text)),
    );
  }

  const state = openState(dataDir, silentLog, undefined);

  expect([...state.calls.all(), ...state.apps.all(), ...state.inputs.all()]).toEqual([]);
  expect(await readdir(join(dataDir, "state", "unreadable"))).toHaveLength(INPUTS);
});

test("results: what a function writes to the descriptor of its reports", async () => {
  const lines = fc.sample(
    fc.oneof(
      fc.string(),
      fc.json({ maxDepth: 6 }),
      fc
        .record({
          kind: fc.constantFrom("success", "failure", "arguments", "init_failure", "x"),
          value: fc.jsonValue(),
        })
        .map((report) => JSON.stringify(report)),
      fc
        .constantFrom("$int", "$float", "$bytes", "$datetime", "$map", "$undefined")
        .chain((tag) =>
          fc.jsonValue().map((value) => JSON.stringify({ kind: "success", value: { [tag]: value } })),
        ),
    ),
    { numRuns: INPUTS, seed: SEED },
  );
  const blobs = new Blobs(await temporaryDirectory());
  const reports: ChildReport[] = [];
  const child = new Child(
    {
      importRoot: "",
      module: "",
      attribute: "",
      args: { format: "json", value: null },
      resultFormat: "json",
      mayStay: false,
    },
    { onReport: (report) => reports.push(report), onLine: () => undefined, onEnd: () => undefined },
  );
  const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  child.attach("reports", stream as Socket);

  const stalls = watchStalls();
  for (let start = 0; start < lines.length; start += 100) {
    stream.push(`${lines.slice(start, start + 100).join("\n")}\n`);
    await nextTurn();
  }
  for (const report of reports) {
    if (report.kind === "arguments") continue;
    // A value that cannot be sent is an error of this call alone.
    await reportedResult(report, 4, blobs).catch((error: unknown) => expect(error).toBeInstanceOf(Error));
  }

  expect(reports.length).toBeGreaterThan(INPUTS / 10);
  expect(stalls()).toEqual([]);
});

test("logs: lines come out whole and in order, however their bytes arrive", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: fc.constantFrom("a", "\n", "é", "\0", "\r") })), (chunks) => {
      const lines: string[] = [];
      const splitter = new LineSplitter((line) => lines.push(line), 1000);
      for (const chunk of chunks) splitter.push(chunk);
      splitter.end();
      const expected = chunks.join("").split("\n");
      expect(lines).toEqual(expected.at(-1) === "" ? expected.slice(0, -1) : expected);
    }),
    { numRuns: INPUTS, seed: SEED },
  );
});
