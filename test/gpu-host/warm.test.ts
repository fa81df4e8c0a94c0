import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { pids } from "../helpers/gpu-host/calls.ts";
import {
  call,
  connect,
  expectGone,
  output,
  register,
  startHost,
  temporaryDirectory,
  undoAll,
  value,
} from "../helpers/gpu-host/host.ts";

const HANDLER = `
import json, os, signal, subprocess, sys, tempfile, threading, time

calls = 0
leaves = ""

def stays_warm():
    return True

def work(leave="", *, w_model_args=None):
    global calls
    calls += 1
    seen = {
        "pid": os.getpid(),
        "calls": calls,
        "leak": [os.environ.get("LEAK"), "LEAK" in sys.path, os.umask(0o077) == 0o077],
        "temp": tempfile.gettempdir(),
        "cwd": os.getcwd(),
        "files": os.listdir(),
    }
    os.environ["LEAK"] = "yes"
    sys.path.append("LEAK")
    open("left.txt", "w").close()
    print(f"call {calls}")
    if leave == "thread":
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    if leave == "process":
        seen["other"] = subprocess.Popen(["sleep", "60"]).pid
    if leave == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if leave == "error":
        raise ValueError("no such luck")
    return seen

def wait(path, *, w_model_args=None):
    with open(path, "w") as file:
        json.dump([os.getpid()], file)
    time.sleep(60)
`;

interface Seen {
  readonly pid: number;
  readonly calls: number;
  readonly leak: unknown[];
  readonly temp: string;
  readonly cwd: string;
  readonly files: string[];
  readonly other?: number;
}

afterEach(undoAll);

async function start(options: { most?: number; idleMs?: number } = {}) {
  const { most = 1, idleMs = 60_000 } = options;
  const host = await startHost({ warm: { most, idleMs } });
  const cp = connect(host);
  const { functions } = await register(cp, HANDLER, ["work", "wait"]);
  const ask = async (leave = "", model = "a") =>
    await call(cp, functions["work"] ?? "", [leave], { w_model_args: { model } });
  const work = async (leave = "", model = "a") => (await value(cp, await ask(leave, model))) as Seen;
  return { host, cp, functions, ask, work, directory: await temporaryDirectory() };
}

test("a process with its model does the next call of its kind, which sees nothing of the one before", async () => {
  const { host, work } = await start();
  const first = await work();
  expect(host.stats().warm).toMatchObject([{ pid: first.pid }]);
  expect(host.stats().warm[0]?.bytes).toBeGreaterThan(1e6);
  const second = await work();
  expect([second.pid, second.calls]).toEqual([first.pid, 2]);
  expect(second.leak).toEqual([null, false, false]);
  expect(second.files).toEqual([]);
  expect([second.temp, second.temp === first.temp]).toEqual([second.cwd, false]);
  await expect.poll(() => existsSync(first.cwd)).toBe(false);
  // Another model takes its place: two of them might not fit.
  const other = await work("", "b");
  expect(other.calls).toBe(1);
  await expectGone([first.pid]);
  await host.close();
  await expectGone([other.pid]);
});

test.each(["thread", "process", "error"])(
  "a call that leaves a %s behind leaves no process",
  async (leave) => {
    const { host, cp, ask, work } = await start();
    const before = await work();
    const { result } = await output(cp, await ask(leave));
    expect(result.status).toBe(leave === "error" ? 2 : 1);
    await expectGone([before.pid]);
    expect((await work()).calls).toBe(1);
    expect(host.stats().warm).toHaveLength(1);
  },
);

test("a crash costs its own call only, also that of a process that waits", async () => {
  const { cp, ask, work } = await start();
  const first = await work();
  const { result } = await output(cp, await ask("crash"));
  expect(result).toMatchObject({ status: 2, exception: "Runner failed with exit code: 139 (SIGSEGV)" });
  const second = await work();
  expect([second.calls, second.pid === first.pid]).toEqual([1, false]);
  // Killed in the same moment in which it is to take a call.
  process.kill(second.pid, "SIGKILL");
  expect((await work()).calls).toBe(1);
});

test("a cancel kills the process, and one that nobody needs goes by itself", async () => {
  const { host, cp, functions, directory, work } = await start({ idleMs: 300 });
  const first = await work();
  await expectGone([first.pid]);
  expect(host.stats().warm).toEqual([]);
  const file = join(directory, "pids");
  const id = await call(cp, functions["wait"] ?? "", [file], { w_model_args: {} });
  const running = await pids(file);
  await cp.functionCallCancel({ functionCallId: id, terminateContainers: false });
  expect((await output(cp, id)).result.status).toBe(3);
  await expectGone(running);
  expect(await readFile(file, "utf8")).toBe(JSON.stringify(running));
});

test("nothing waits where it is turned off, or where a call names no model", async () => {
  const off = await start({ most: 0 });
  const first = await off.work();
  await expectGone([first.pid]);
  const on = await start();
  const plain = (await value(on.cp, await call(on.cp, on.functions["work"] ?? "", []))) as Seen;
  await expectGone([plain.pid]);
});
