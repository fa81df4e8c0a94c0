import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Log } from "../log.ts";
import { Child, type ChildHandlers, type ChildJob, isStreamName } from "./child.ts";
import { LineSplitter } from "./line-splitter.ts";
import { type WarmLimits, WarmProcesses } from "./warm.ts";

const LAUNCHER_FILE = fileURLToPath(new URL("../python/launcher.py", import.meta.url));

/** News of a call's process. */
const newsSchema = z.union([
  z.object({ id: z.string(), pid: z.number() }),
  z.object({ id: z.string(), code: z.number().nullable(), signal: z.string().nullable() }),
  z.object({ id: z.string(), error: z.string() }),
]);

/** The first line of a connection: the call's ID and the name of a stream, or `idle` and the memory in bytes. */
const MAX_GREETING_CHARS = 200;

/** One call as it is to be started. */
export interface Start {
  readonly id: string;
  readonly job: Omit<ChildJob, "mayStay">;
  readonly workDir: string;
  readonly env: NodeJS.ProcessEnv;
  /** Calls of the same kind can be done by the same process, one after the other. */
  readonly kind: string | null;
}

/** A call that runs. */
interface Known {
  readonly child: Child;
  readonly start: Start;
  readonly handlers: ChildHandlers;
  /** Whether it is done by a process that waited. */
  readonly isWarm: boolean;
  pid?: number | undefined;
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
  readonly #environment: () => NodeJS.ProcessEnv;
  readonly #log: Log;
  readonly #children = new Map<string, Known>();
  readonly #warm: WarmProcesses;
  #running: Promise<Running> | null = null;
  #isClosed = false;

  /** Starts nothing before the first call. Python sees `environment` and nothing else of ours. */
  constructor(options: { python: string; environment: () => NodeJS.ProcessEnv; log: Log; warm: WarmLimits }) {
    this.#python = options.python;
    this.#environment = options.environment;
    this.#log = options.log;
    this.#warm = new WarmProcesses(options.warm);
  }

  /** Processes that wait for another call. */
  warm(): { pid: number | undefined; bytes: number }[] {
    return this.#warm.list().map(({ pid, bytes }) => ({ pid, bytes }));
  }

  /** Starts a call. Failures go to `onEnd`. */
  start(start: Start, handlers: ChildHandlers): void {
    const { id, kind, workDir, env } = start;
    const warm = kind === null ? undefined : this.#warm.take(kind);
    if (warm === undefined) {
      this.#startNew(start, handlers);
      return;
    }
    const child = new Child({ ...start.job, mayStay: true }, handlers);
    this.#children.set(id, { child, start, handlers, isWarm: true, pid: warm.pid });
    // Renamed first: a process that has died meanwhile is told of under the new name too.
    this.#order({ rename: warm.id, to: id }).catch((error: unknown) => this.#ended(id, failed(error)));
    warm.connection.end(`${JSON.stringify({ id, workDir, env })}\n`);
  }

  #startNew(start: Start, handlers: ChildHandlers): void {
    const { id, kind, workDir, env } = start;
    const mayStay = kind !== null && this.#warm.isOn;
    // A model that nobody asks for now must not take the memory of the one that is asked for.
    if (mayStay) this.#warm.makeRoom();
    const child = new Child({ ...start.job, mayStay }, handlers);
    this.#children.set(id, { child, start, handlers, isWarm: false });
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
    this.#isClosed = true;
    const running = await this.#running?.catch(() => null);
    if (running === undefined || running === null) return;
    this.#warm.close();
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
        env: this.#environment(),
        stdio: ["pipe", "ignore", "inherit", "pipe"],
      });
      const [orders, , , reports] = child.stdio as unknown as [Writable, null, null, Readable];
      // A write to a process that just died: its end says more.
      orders.on("error", () => undefined);
      const splitter = new LineSplitter((line) => this.#hear(line), Infinity);
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

  /** Reads which call and which stream of it a connection is for. Nothing else comes before the answer. */
  #greet(connection: Socket): void {
    connection.on("error", () => undefined);
    let greeting = "";
    const read = (chunk: Buffer) => {
      greeting += chunk.toString("latin1");
      if (greeting.length > MAX_GREETING_CHARS) connection.destroy();
      if (!greeting.endsWith("\n")) return;
      connection.off("data", read);
      const [id = "", name = "", bytes = ""] = greeting.trimEnd().split(" ");
      const known = this.#children.get(id);
      if (known !== undefined && name === "idle") this.#keep(known, connection, Number(bytes));
      else if (known === undefined || !isStreamName(name)) connection.destroy();
      else known.child.attach(name, connection);
    };
    connection.on("data", read);
  }

  /** Keeps a process that has done its call. */
  #keep({ child, start: { id, kind }, pid }: Known, connection: Socket, bytes: number): void {
    if (kind === null || !this.#warm.isOn) {
      connection.destroy();
      return;
    }
    this.#children.delete(id);
    this.#warm.add({ id, pid, kind, connection, bytes });
    child.ended({ code: 0, signal: null });
  }

  #hear(line: string): void {
    const news = parsed(line);
    if (news === undefined)
      return this.#log.error({ line }, "the Python launcher wrote a line that cannot be read");
    const known = this.#children.get(news.id);
    if (known === undefined) return;
    if ("pid" in news) known.pid = news.pid;
    else this.#ended(news.id, "error" in news ? failed(new Error(news.error)) : news);
  }

  #ended(id: string, end: { code: number | null; signal: string | null; error?: Error }): void {
    const known = this.#children.get(id);
    this.#children.delete(id);
    // One that died while it waited has begun nothing of this call.
    if (known?.isWarm === true && !known.child.hasBegun && !this.#isClosed) {
      known.child.discard();
      this.#startNew(known.start, known.handlers);
    } else known?.child.ended(end);
  }

  /** Cleans up after the launcher, which alone could fetch the processes: none of them may be left. */
  async #lost(server: Server, folder: string): Promise<void> {
    this.#running = null;
    server.close();
    // Some are started anew meanwhile, in another launcher.
    const lost = [...this.#children];
    for (const [id, { pid }] of lost) {
      if (pid !== undefined) killGroup(pid);
      this.#ended(id, { code: null, signal: "SIGKILL" });
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
  }
}

function parsed(line: string): z.infer<typeof newsSchema> | undefined {
  try {
    return newsSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
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
