import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { LAUNCHER } from "../support/programs.ts";

const DELAY_LINK = fileURLToPath(new URL("./delay_link.py", import.meta.url));

const NEAR = "10.213.0.1";
const FAR = "10.213.0.2";
/** Packets that a device keeps while nobody reads; at the default of 500 a burst loses some. */
const QUEUE_PACKETS = 10_000;

/**
 * Largest packet, in bytes. The link's program carries so many packets a second and no more; with 1,500 bytes it, and no
 * client, would be measured. TCP begins with ten packets, so that it finds its window sooner than on the Internet.
 */
const LARGEST_PACKET = 65_520;

/** Command that runs another one in a new network namespace, with the right to make devices in it. */
const NAMESPACE = process.getuid?.() === 0 ? ["unshare", "-n"] : ["unshare", "-r", "-n"];

/** Reason why this machine cannot have a link with delay; null where it can. */
export function whyNoLink(): string | null {
  if (process.platform !== "linux") return "it needs Linux";
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  for (const program of ["unshare", "nsenter", "ip", "python3"]) {
    if (spawnSync(program, ["--help"], { stdio: "ignore" }).error) return `the program ${program} is missing`;
  }
  const attempt = [...NAMESPACE.slice(1), "ip", "tuntap", "add", "dev", "far0", "mode", "tun"];
  const { status, stderr } = spawnSync("unshare", attempt, { encoding: "utf8" });
  return status === 0 ? null : `no network namespace with a TUN device may be made: ${stderr.trim()}`;
}

/** Runs a program in a new network namespace, and gives its exit code. */
export async function inNamespace(command: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [program = "", ...rest] = [...NAMESPACE, ...command];
  const child = spawn(program, rest, { stdio: "inherit", env });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}

/** Words of a GPU host that is ready. */
export interface FarHost {
  readonly serverUrl: string;
  readonly tokenId: string;
  readonly tokenSecret: string;
  readonly statsUrl: string;
}

/**
 * A GPU host in a network namespace of its own, at the far end of a link. Without delay the link is a pair of virtual
 * Ethernet devices. To be called in a namespace that `inNamespace` made.
 */
export async function openFarHost(
  rttMs: number,
  dataFolder: string,
): Promise<FarHost & { close(): Promise<void> }> {
  const started: ChildProcess[] = [];
  const start = (command: readonly string[], env = process.env): ChildProcess => {
    const [program = "", ...args] = command;
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], env });
    started.push(child);
    return child;
  };
  const close = async (): Promise<void> => {
    for (const child of started.toReversed()) {
      const exited = child.exitCode === null && child.signalCode === null ? once(child, "exit") : null;
      child.kill("SIGTERM");
      child.stdin?.end();
      await exited;
    }
    spawnSync("ip", ["link", "del", "far0"], { stdio: "ignore" });
  };
  try {
    const holder = start(["unshare", "-n", "sh", "-c", "echo ready; exec cat"]);
    await lineOf(holder);
    const pid = String(holder.pid);
    if (rttMs === 0) run(["ip", "link", "add", "far0", "type", "veth", "peer", "name", "far1", "netns", pid]);
    else await lineOf(start(["python3", "-B", DELAY_LINK, pid, String(rttMs)]));
    const there = ["nsenter", "-t", pid, "-n"];
    raise([], "far0", NEAR, FAR);
    raise(there, "far1", FAR, NEAR);
    const host = start([...there, process.execPath, LAUNCHER, "gpu-host", "--json"], {
      ...process.env,
      MIRUMOJI_GPU_HOST_DATA: dataFolder,
      MIRUMOJI_GPU_HOST_ADDRESS: FAR,
    });
    return { ...(JSON.parse(await lineOf(host)) as FarHost), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function raise(where: readonly string[], device: string, own: string, other: string): void {
  run([...where, "ip", "addr", "add", own, "peer", other, "dev", device]);
  run([
    ...where,
    "ip",
    "link",
    "set",
    device,
    "up",
    "mtu",
    String(LARGEST_PACKET),
    "txqueuelen",
    String(QUEUE_PACKETS),
  ]);
  run([...where, "ip", "link", "set", "lo", "up"]);
}

function run([program = "", ...args]: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr || String(error)}`);
}

async function lineOf(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error("the program has no output");
  const line = once(createInterface({ input: child.stdout }), "line");
  const ended = once(child, "exit").then(() => {
    throw new Error(`${child.spawnargs.join(" ")} ended before it was ready`);
  });
  ended.catch(() => undefined);
  const [text] = await Promise.race([line, ended]);
  return String(text);
}
