import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { expect } from "vitest";
import { connect, register, startHost, temporaryDirectory } from "./host.ts";

const HANDLER = `
import asyncio, json, os, signal, subprocess, sys, time

def echo(*args, **kwargs):
    return [args, kwargs]

def kinds(*args):
    return [repr(value) for value in args]

def count(path):
    with open(path, "a") as file:
        file.write("ran ")
    return "counted"

def slow(path, seconds):
    process = subprocess.Popen(["sleep", str(seconds)])
    with open(path, "w") as file:
        json.dump([os.getpid(), process.pid], file)
    try:
        time.sleep(seconds)
    finally:
        with open(path + ".cleaned", "w") as file:
            file.write("yes")

def family(path):
    process = subprocess.Popen(["sleep", "60"])
    with open(path, "w") as file:
        json.dump([os.getppid(), os.getpid(), process.pid], file)
    time.sleep(60)

def stubborn(path):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(path, "w") as file:
        json.dump([os.getpid()], file)
    time.sleep(60)

def swallow(path):
    with open(path, "w") as file:
        json.dump([os.getpid()], file)
    try:
        time.sleep(60)
    except BaseException:
        return "never mind"

def meddle():
    os.write(3, b"not a report\\n")
    return "done"

def background():
    return subprocess.Popen(["sleep", "60"]).pid

def fail():
    raise ValueError("no such luck")

def big(size):
    return "x" * size

def unserializable():
    return object()

def crash(name):
    os.kill(os.getpid(), getattr(signal, name))

def leave(code):
    os._exit(code)

async def later():
    await asyncio.sleep(0)
    return "later"

def environment():
    with open("/proc/self/environ") as started, open(f"/proc/{os.getppid()}/environ") as launcher:
        return dict(os.environ), os.getcwd(), os.listdir("."), started.read() + launcher.read()
`;

const NAMES = [...HANDLER.matchAll(/^(?:async )?def (\w+)/gm)].map((match) => match[1] ?? "");

export async function startWithHandler(
  options: Parameters<typeof startHost>[0] & { timeoutSecs?: number } = {},
) {
  const dataDir = await temporaryDirectory();
  const host = await startHost({ dataDir, ...options });
  const cp = connect(host);
  const { functions, appId } = await register(cp, HANDLER, NAMES, options);
  const id = (name: string) => functions[name] ?? "";
  return { host, cp, id, appId, dataDir, directory: await temporaryDirectory() };
}

/** The processes that a function says it has, once it says so. */
export async function pids(file: string): Promise<number[]> {
  await expect.poll(() => existsSync(file) && readFile(file, "utf8"), { timeout: 10_000 }).toBeTruthy();
  return JSON.parse(await readFile(file, "utf8")) as number[];
}
