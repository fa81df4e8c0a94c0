import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { Child, type ChildHandlers, type ChildJob, isStreamName } from "./child.ts";
import { LineSplitter } from "./line-splitter.ts";

const LAUNCHER_FILE = fileURLToPath(new URL("../python/launcher.py", import.meta.url));

/** What the launcher tells of a call's process. */
type Told =
  | { readonly id: string; readonly pid: number }
  | { readonly id: string; readonly code: number | null; readonly signal: string | null }
  | { readonly id: string; readonly error: string };

/** One call as it is to be started. */
export interface Start {
  readonly id: string;
  readonly job: ChildJob;
  readonly workDir: string;
  readonly env: NodeJS.ProcessEnv;
}

/** A Python that waits to be forked, and our address for its children. */
interface Running {
  readonly orders: Writable;
  /** Resolves when its process is gone and cleaned up after. */
  readonly gone: Promise<void>;
}

/**
 * Starts the processes of function calls. A new Python costs a tenth of a second of processor time, so one is
 * kept that has loaded what every call needs and is forked for each: see `src/gpu-host/python/launcher.py`.
 */
export class Launcher {
  readonly #python: string;
  readonly #children = new Map<string, { readonly child: Child; pid?: number }>();
  #running: Promise<Running> | null = null;

  /** Starts nothing before the first call. */
  constructor(python: string) {
    this.#python = python;
  }

  /** Starts a call. Whatever goes wrong is told to `onEnd`. */
  start({ id, job, workDir, env }: Start, handlers: ChildHandlers): void {
    const child = new Child(job, handlers);
    this.#children.set(id, { child });
    this.#order({ start: id, workDir, env }).catch((error: unknown) => this.#ended(id, failed(error)));
  }

  /** Signals the call's whole process group; one that is gone already is fine. */
  kill(id: string, signal: "SIGTERM" | "SIGKILL"): void {
    // Without a launcher there is no process.
    if (this.#running === null) return;
    this.#order({ kill: id, signal }).catch(() => undefined);
  }

  /** Kills every call and waits until they and the launcher are gone. */
  async close(): Promise<void> {
    const running = await this.#running?.catch(() => null);
    if (running === undefined || running === null) return;
    running.orders.end();
    await running.gone;
  }

  async #order(order: object): Promise<void> {
    this.#running ??= this.#launch();
    const mine = this.#running;
    try {
      (await mine).orders.write(`${JSON.stringify(order)}\n`);
    } catch (error) {
      if (this.#running === mine) this.#running = null;
      throw error;
    }
  }

  async #launch(): Promise<Running> {
    const folder = await mkdtemp(join(tmpdir(), "mirumoji-run-"));
    const socket = join(folder, "host");
    const server = createServer((connection) => this.#greet(connection));
    try {
      server.listen(socket);
      await once(server, "listening");
      const child = spawn(this.#python, ["-u", "-B", LAUNCHER_FILE, socket], {
        // In a group of its own: Ctrl-C is for us, and we end it in good order.
        detached: true,
        stdio: ["pipe", "ignore", "inherit", "pipe"],
      });
      const [orders, , , reports] = child.stdio as unknown as [Writable, null, null, Readable];
      // A write to one that just died; its end tells more.
      orders.on("error", () => undefined);
      const splitter = new LineSplitter((line) => this.#hear(JSON.parse(line) as Told), Infinity);
      reports.setEncoding("utf8");
      reports.on("data", (chunk: string) => splitter.push(chunk));
      reports.on("error", () => undefined);
      await once(child, "spawn");
      const gone = once(child, "close").then(async () => await this.#lost(server, folder));
      return { orders, gone };
    } catch (error) {
      server.close();
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** A connection says first whose it is, and which; nothing else before it is answered. */
  #greet(connection: Socket): void {
    connection.on("error", () => undefined);
    let greeting = "";
    const read = (chunk: Buffer) => {
      greeting += chunk.toString("latin1");
      if (!greeting.endsWith("\n")) return;
      connection.off("data", read);
      const [id = "", name = ""] = greeting.trimEnd().split(" ");
      const child = this.#children.get(id)?.child;
      if (child === undefined || !isStreamName(name)) connection.destroy();
      else child.attach(name, connection);
    };
    connection.on("data", read);
  }

  #hear(told: Told): void {
    const known = this.#children.get(told.id);
    if (known === undefined) return;
    if ("pid" in told) known.pid = told.pid;
    else this.#ended(told.id, "error" in told ? failed(new Error(told.error)) : told);
  }

  #ended(id: string, end: { code: number | null; signal: string | null; error?: Error }): void {
    const known = this.#children.get(id);
    this.#children.delete(id);
    known?.child.ended(end);
  }

  /** The launcher is gone, and with it whoever could fetch the processes: none may be left of them. */
  async #lost(server: Server, folder: string): Promise<void> {
    this.#running = null;
    server.close();
    for (const [id, { pid }] of this.#children) {
      if (pid !== undefined) killGroup(pid);
      this.#ended(id, { code: null, signal: "SIGKILL" });
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
  }
}

function failed(error: unknown): { code: null; signal: null; error: Error } {
  return { code: null, signal: null, error: error instanceof Error ? error : new Error(String(error)) };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
