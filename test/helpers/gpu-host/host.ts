import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Encoder } from "cbor-x";
import { ModalClient } from "modal";
import { expect } from "vitest";
import { type GpuHost, type GpuHostOptions, startGpuHost } from "../../../src/gpu-host/host.ts";
import { BLOCK_BYTES } from "../../../src/gpu-host/store/blocks.ts";
import type { Fault } from "../../../src/gpu-host/faults.ts";

export type ControlPlane = ModalClient["cpClient"];

const encoder = new Encoder({ mapsAsObjects: true, useRecords: false, tagUint8Array: false });

/** Python itself, because a version manager's shim would cost each call a third of a second. */
const PYTHON = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], {
  encoding: "utf8",
}).trim();

const undoings: (() => Promise<unknown>)[] = [];

/** For `afterEach`: closes what the test started and removes what it made. */
export async function undoAll(): Promise<void> {
  for (const undo of undoings.splice(0).toReversed()) await undo();
}

export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "gpu-host-test-"));
  undoings.push(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
  return directory;
}

export async function startHost(options: Partial<GpuHostOptions> = {}): Promise<GpuHost> {
  const dataDir = options.dataDir ?? (await temporaryDirectory());
  const host = await startGpuHost({ adminFaults: true, python: PYTHON, ...options, dataDir });
  undoings.push(() => host.close());
  return host;
}

/** The official SDK's client, pointed at a host. */
export function connect(host: GpuHost, token: { tokenId?: string; tokenSecret?: string } = {}): ControlPlane {
  const before = { ...process.env };
  process.env["MODAL_SERVER_URL"] = host.serverUrl;
  process.env["MODAL_CONFIG_PATH"] = "/nonexistent";
  try {
    const { tokenId, tokenSecret } = { ...host, ...token };
    return new ModalClient({ tokenId, tokenSecret, maxThrottleWaitSecs: 5, logLevel: "error" }).cpClient;
  } finally {
    process.env = before;
  }
}

export async function orderFault(host: GpuHost, fault: Fault): Promise<void> {
  const answer = await fetch(host.adminUrl, { method: "POST", body: JSON.stringify(fault) });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
}

/** Registers one-file functions the way our runtime does, and gives their IDs by name. */
export async function register(
  cp: ControlPlane,
  source: string,
  names: string[],
  options: {
    timeoutSecs?: number;
    appState?: number;
    volumeMounts?: { volumeId: string; mountPath: string }[];
  } = {},
): Promise<{ appId: string; functions: Record<string, string> }> {
  const { appId } = await cp.appCreate({ description: "test-app", appState: options.appState ?? 1 });
  const data = Buffer.from(source);
  const sha256Hex = sha256(data).toString("hex");
  await cp.mountPutFile({ sha256Hex, data });
  const { mountId } = await cp.mountGetOrCreate({
    objectCreationType: 4,
    appId,
    files: [{ filename: "/root/handler.py", sha256Hex, mode: 0o644 }],
  });
  const { mountId: clientMountId } = await cp.mountGetOrCreate({
    deploymentName: "modal-client-mount-1.5.4",
    namespace: 3,
  });
  const { imageId } = await cp.imageGetOrCreate({
    appId,
    builderVersion: "2025.06",
    image: { dockerfileCommands: ["FROM example/image:1"] },
  });
  const functions: Record<string, string> = {};
  for (const functionName of names) {
    const common = {
      functionName,
      functionType: 2,
      supportedInputFormats: [1, 4],
      supportedOutputFormats: [1, 4],
    };
    const { functionId } = await cp.functionPrecreate({ appId, ...common });
    await cp.functionCreate({
      appId,
      existingFunctionId: functionId,
      function: {
        ...common,
        moduleName: "handler",
        implementationName: functionName,
        definitionType: 2,
        imageId,
        mountIds: [clientMountId, mountId],
        timeoutSecs: options.timeoutSecs ?? 60,
        volumeMounts: options.volumeMounts ?? [],
      },
    });
    functions[functionName] = functionId;
  }
  await cp.appPublish({
    appId,
    name: options.appState === 3 ? "test-app" : "",
    appState: options.appState ?? 1,
    functionIds: functions,
  });
  return { appId, functions };
}

export function input(args: unknown[], kwargs: Record<string, unknown> = {}) {
  return { idx: 0, input: { args: encoder.encode([args, kwargs]), dataFormat: 4 } };
}

/** Opens a call and starts it, in two phases. */
export async function call(
  cp: ControlPlane,
  functionId: string,
  args: unknown[] = [],
  kwargs: Record<string, unknown> = {},
): Promise<string> {
  const { functionCallId } = await cp.functionMap({
    functionId,
    functionCallType: 1,
    functionCallInvocationType: 3,
  });
  await cp.functionPutInputs({ functionId, functionCallId, inputs: [input(args, kwargs)] });
  return functionCallId;
}

/** Waits for a call's output. */
export async function output(cp: ControlPlane, functionCallId: string, timeout = 20) {
  const { outputs } = await cp.functionGetOutputs({
    functionCallId,
    timeout,
    lastEntryId: "0-0",
    maxValues: 1,
  });
  const [first] = outputs;
  if (first?.result === undefined) throw new Error(`No output of ${functionCallId}`);
  return { ...first, result: first.result };
}

export async function value(cp: ControlPlane, functionCallId: string): Promise<unknown> {
  const { result } = await output(cp, functionCallId);
  if (result.status !== 1) throw new Error(`${result.status} ${result.exception} ${result.traceback}`);
  return encoder.decode(await payload(cp, result));
}

async function payload(
  cp: ControlPlane,
  result: { data?: Uint8Array | undefined; dataBlobId?: string | undefined },
) {
  if (result.dataBlobId === undefined) return result.data ?? Buffer.alloc(0);
  const { downloadUrl } = await cp.blobGet({ blobId: result.dataBlobId });
  return Buffer.from(await (await fetch(downloadUrl)).arrayBuffer());
}

export function sha256(data: Uint8Array): Buffer {
  return createHash("sha256").update(data).digest();
}

/** A file's blocks as they travel, without trailing zeros. */
export function blocksOf(content: Buffer): Buffer[] {
  const blocks = [];
  for (let start = 0; start < content.length; start += BLOCK_BYTES) {
    const block = content.subarray(start, start + BLOCK_BYTES);
    let end = block.length;
    while (end > 0 && block[end - 1] === 0) end -= 1;
    blocks.push(block.subarray(0, end));
  }
  return blocks;
}

export async function newVolume(cp: ControlPlane): Promise<string> {
  const { volumeId } = await cp.volumeGetOrCreate({ objectCreationType: 5, version: 2 });
  return volumeId;
}

/** The request of one round of an upload. */
export function putRequest(
  volumeId: string,
  path: string,
  content: Buffer,
  responses: (Uint8Array | undefined)[] = [],
) {
  const blocks = blocksOf(content).map((block, index) => {
    const putResponse = responses[index];
    return { contentsSha256: sha256(block), ...(putResponse === undefined ? {} : { putResponse }) };
  });
  return { volumeId, files: [{ path, size: content.length, blocks }] };
}

/** Sends a file in two rounds; gives how many blocks travelled. */
export async function putFile(
  cp: ControlPlane,
  volumeId: string,
  path: string,
  content: Buffer,
): Promise<number> {
  const blocks = blocksOf(content);
  const { missingBlocks } = await cp.volumePutFiles2(putRequest(volumeId, path, content));
  const responses: (Uint8Array | undefined)[] = [];
  for (const { blockIndex, putUrl } of missingBlocks) {
    const answer = await fetch(putUrl, { method: "PUT", body: blocks[blockIndex] ?? null });
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    responses[blockIndex] = new Uint8Array(await answer.arrayBuffer());
  }
  if (missingBlocks.length > 0) {
    const second = await cp.volumePutFiles2(putRequest(volumeId, path, content, responses));
    if (second.missingBlocks.length > 0) throw new Error("Blocks are missing after the second round");
  }
  return missingBlocks.length;
}

export async function getFile(
  cp: ControlPlane,
  volumeId: string,
  path: string,
  range: { start?: number; len?: number } = {},
): Promise<Buffer> {
  const { getUrls } = await cp.volumeGetFile2({ volumeId, path, ...range });
  const parts = [];
  for (const url of getUrls) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    parts.push(Buffer.from(await answer.arrayBuffer()));
  }
  return Buffer.concat(parts);
}

/** Whether a process runs; one that ended but was not fetched by its parent does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** The processes are gone, or will be as soon as the kernel has carried out their kill. */
export async function expectGone(pids: readonly number[]): Promise<void> {
  await expect.poll(() => pids.filter(isAlive), { timeout: 1000 }).toEqual([]);
}
