import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Status } from "nice-grpc";
import { afterEach, expect, test } from "vitest";
import type { GpuHost } from "../../src/gpu-host/host.ts";
import { BLOCK_BYTES } from "../../src/gpu-host/store/blocks.ts";
import { programFile } from "../../support/programs.ts";
import {
  blocksOf,
  call,
  connect,
  getFile,
  input,
  expectGone,
  isAlive,
  newVolume,
  output,
  putFile,
  putRequest,
  register,
  startHost,
  temporaryDirectory,
  undoAll,
  value,
} from "../helpers/gpu-host/host.ts";

const processes: ChildProcess[] = [];

afterEach(async () => {
  for (const child of processes.splice(0)) await kill(child);
  await undoAll();
});

const HANDLER = `
import json, os, subprocess, time

def quick(path):
    with open(path, "a") as file:
        file.write("ran ")
    return "done"

def slow(path):
    process = subprocess.Popen(["sleep", "60"])
    with open(path + ".new", "w") as file:
        json.dump([os.getpid(), process.pid], file)
    os.rename(path + ".new", path)
    process.wait()
`;

/** Starts a host in a process that can be killed like a machine that loses power. */
async function serve(options: object): Promise<{ host: GpuHost; child: ChildProcess }> {
  const child = spawn(process.execPath, [programFile("gpu-host"), JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  processes.push(child);
  for await (const line of createInterface({ input: child.stdout })) {
    return { host: JSON.parse(line) as GpuHost, child };
  }
  throw new Error("The host did not start");
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

test("a host that is killed and started again goes on where it was", async () => {
  const dataDir = await temporaryDirectory();
  const directory = await temporaryDirectory();
  const token = { tokenId: "ak-test", tokenSecret: "as-test" };
  const first = await serve({ dataDir, ...token, maxConcurrentCalls: 1 });
  const cp = connect(first.host);
  const { functions, appId } = await register(cp, HANDLER, ["quick", "slow"], { appState: 3 });
  const volumeId = await newVolume(cp);
  const deleted = await newVolume(cp);
  await cp.volumeDelete({ volumeId: deleted });
  const file = Buffer.alloc(100_000, "x");
  await putFile(cp, volumeId, "file", file);
  const big = Buffer.alloc(3 * BLOCK_BYTES, "y");
  const { missingBlocks } = await cp.volumePutFiles2(putRequest(volumeId, "big", big));
  await fetch(missingBlocks[2]?.putUrl ?? "", { method: "PUT", body: blocksOf(big)[2] ?? null });
  const finished = await call(cp, functions["quick"] ?? "", [join(directory, "finished")]);
  await value(cp, finished);
  const running = await call(cp, functions["slow"] ?? "", [join(directory, "pids")]);
  const queued = await call(cp, functions["quick"] ?? "", [join(directory, "queued")]);
  const functionId = functions["quick"] ?? "";
  const { functionCallId: open } = await cp.functionMap({ functionId, functionCallType: 1 });
  await expect.poll(() => existsSync(join(directory, "pids")), { timeout: 10_000 }).toBe(true);
  const pids = JSON.parse(await readFile(join(directory, "pids"), "utf8")) as number[];
  expect(pids.filter(isAlive)).toEqual(pids);

  await kill(first.child);

  // The function dies with its host, with everything it started.
  await expectGone(pids);
  const { port: grpcPort } = new URL(first.host.serverUrl);
  const ports = { grpcPort: Number(grpcPort), httpPorts: first.host.httpPorts };
  await serve({ dataDir, ...token, ...ports });
  // The same client, whose session token is still good.
  expect(await value(cp, finished)).toBe("done");
  const lost = await output(cp, running);
  expect(lost.result).toMatchObject({ status: 6, exception: expect.stringContaining("restarted") as string });
  expect(await value(cp, queued)).toBe("done");
  await cp.functionPutInputs({
    functionId,
    functionCallId: open,
    inputs: [input([join(directory, "open")])],
  });
  expect(await value(cp, open)).toBe("done");
  for (const name of ["finished", "queued", "open"]) {
    expect(await readFile(join(directory, name), "utf8")).toBe("ran ");
  }
  expect((await cp.appGetByDeploymentName({ name: "test-app" })).appId).toBe(appId);
  expect((await getFile(cp, volumeId, "file")).equals(file)).toBe(true);
  const again = await cp.volumePutFiles2(putRequest(volumeId, "big", big));
  expect(again.missingBlocks.map(({ blockIndex }) => blockIndex)).toEqual([0, 1]);
  await putFile(cp, volumeId, "big", big);
  expect((await getFile(cp, volumeId, "big")).equals(big)).toBe(true);
  expect(await (await fetch(first.host.statsUrl)).json()).toMatchObject({
    volumes: { live: 1, created: 2, deleted: 1, expired: 0 },
    calls: { started: 4, running: 0, succeeded: 3, failed: 1, cancelled: 0 },
    apps: { live: 1, created: 1 },
  });
});

test("a host that was closed in the middle of a call ends it as lost", async () => {
  const dataDir = await temporaryDirectory();
  const directory = await temporaryDirectory();
  const first = await startHost({ dataDir });
  const { functions } = await register(connect(first), HANDLER, ["slow"]);
  const functionCallId = await call(connect(first), functions["slow"] ?? "", [join(directory, "pids")]);
  await expect.poll(() => existsSync(join(directory, "pids")), { timeout: 10_000 }).toBe(true);
  await first.close();

  const second = connect(await startHost({ dataDir }));

  expect((await output(second, functionCallId)).result).toMatchObject({ status: 6 });
});

test("a host that was closed has nothing left that keeps its process", async () => {
  const directory = await temporaryDirectory();
  const { host, child } = await serve({ dataDir: await temporaryDirectory() });
  const cp = connect(host);
  const { functions, appId } = await register(cp, HANDLER, ["slow"]);
  const functionCallId = await call(cp, functions["slow"] ?? "", [join(directory, "pids")]);
  await expect.poll(() => existsSync(join(directory, "pids")), { timeout: 10_000 }).toBe(true);
  const poll = cp.functionGetOutputs({ functionCallId, timeout: 55, lastEntryId: "0-0" }, { retries: 0 });
  const logs = cp.appGetLogs({ appId, timeout: 55 })[Symbol.asyncIterator]();
  const follow = (async () => {
    while ((await logs.next()).done !== true);
  })();
  const ended = Promise.allSettled([poll, follow]);

  child.kill("SIGTERM");

  const [code] = (await once(child, "exit")) as [number | null];
  expect(code).toBe(0);
  expect((await ended).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
}, 15_000);

test("volumes have their whole time again after a restart, and leftovers of dead ones go", async () => {
  let time = Date.now();
  const options = { dataDir: await temporaryDirectory(), now: () => time, volumeTtlMs: 60_000 };
  const first = await startHost(options);
  const volumeId = await newVolume(connect(first));
  await first.close();
  time += 10 * 60_000;
  const second = await startHost(options);
  const cp = connect(second);
  time += 59_000;
  await cp.volumeGetById({ volumeId });
  time += 2_000;
  await expect(cp.volumeGetById({ volumeId })).rejects.toMatchObject({ code: Status.NOT_FOUND });
  await expect.poll(() => readdir(join(options.dataDir, "volumes"))).toEqual([]);
});

test("a second wrong token does not open the state of the first", async () => {
  const dataDir = await temporaryDirectory();
  const first = await startHost({ dataDir });
  await newVolume(connect(first));
  await first.close();
  const second = await startHost({ dataDir });

  await expect(newVolume(connect(second, first))).rejects.toMatchObject({ code: Status.UNAUTHENTICATED });
});
