import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DataFormat, TaskState } from "../enums.ts";
import type { Log } from "../log.ts";
import type { Blobs } from "../store/blobs.ts";
import type { CallInput, CallRecord } from "../store/records.ts";
import type { State } from "../store/state.ts";
import { childArguments } from "./arguments.ts";
import type { Calls } from "./calls.ts";
import { runEnvironment } from "./child.ts";
import { type Ending, Execution } from "./execution.ts";
import { Launcher } from "./launcher.ts";
import type { Logs } from "./logs.ts";
import { hostFailure, terminated } from "./result.ts";

interface Services {
  readonly state: State;
  readonly calls: Calls;
  readonly blobs: Blobs;
  readonly logs: Logs;
  readonly python: string;
  readonly maxConcurrentCalls: number;
  readonly log: Log;
}

/** Runs calls as child processes, a limited number at a time, in the order in which they came. */
export class Runner {
  readonly #services: Services;
  readonly #launcher: Launcher;
  readonly #queue: string[] = [];
  /** Calls that take one of the places, until everything of theirs is cleaned up. */
  readonly #active = new Map<string, Promise<void>>();
  readonly #executions = new Map<string, Execution>();
  #isClosed = false;

  constructor(services: Services) {
    this.#services = services;
    this.#launcher = new Launcher(services.python);
  }

  /** Takes a call that has its input. */
  submit(call: CallRecord): void {
    this.#queue.push(call.id);
    this.#tell(call, TaskState.QUEUED, "waits for a free place");
    this.#fill();
  }

  /** Stops a call; one that has not started never will. */
  cancel(call: CallRecord, options: { atOnce: boolean }): void {
    const execution = this.#executions.get(call.id);
    // A call that has ended is passed over when its turn comes.
    if (execution === undefined) this.#services.calls.end(call.id, "cancelled", terminated());
    else execution.stop({ state: "cancelled", result: terminated() }, options);
  }

  /** Kills what runs and waits until it is gone; the next host finds these calls unfinished. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#launcher.close();
    await Promise.all(this.#active.values());
  }

  #fill(): void {
    while (this.#active.size < this.#services.maxConcurrentCalls && !this.#isClosed) {
      const id = this.#queue.shift();
      if (id === undefined) return;
      const work = this.#work(id).finally(() => {
        this.#active.delete(id);
        this.#fill();
      });
      this.#active.set(id, work);
    }
  }

  async #work(id: string): Promise<void> {
    const { calls, state, log } = this.#services;
    const workDir = join(state.paths.scratch, id);
    try {
      await mkdir(workDir, { recursive: true });
      const ending = await this.#execute(id, workDir);
      if (ending !== undefined && !this.#isClosed) calls.end(id, ending.state, ending.result);
    } catch (error) {
      log.error({ callId: id, error }, "call failed inside the host");
      calls.end(id, "failed", hostFailure(error));
    } finally {
      await rm(workDir, { recursive: true, force: true, maxRetries: 3 }).catch((error: unknown) => {
        log.warn({ callId: id, error }, "working directory not removed");
      });
    }
  }

  /** Runs a call to its end; undefined when it was cancelled before it could start. */
  async #execute(id: string, workDir: string): Promise<Ending | undefined> {
    const { calls, state, blobs } = this.#services;
    const input = state.calls.get(id)?.input;
    if (input === undefined) return undefined;
    const args = await childArguments(input, blobs);
    const call = state.calls.get(id);
    const registered = state.functions.get(call?.functionId ?? "");
    if (call?.state !== "queued" || registered?.definition === undefined || this.#isClosed) return undefined;
    const { definition, outputFormats } = registered;
    const dataFormat = resultFormat(input.dataFormat, outputFormats);
    calls.markRunning(id);
    this.#tell(call, TaskState.ACTIVE, "runs");
    const execution = new Execution({
      launcher: this.#launcher,
      start: {
        id,
        workDir,
        env: runEnvironment({ volumesPath: state.paths.volumes, workDir }),
        job: {
          importRoot: join(state.paths.functions, definition.id, "root"),
          module: definition.moduleName,
          attribute: definition.attribute,
          args,
          resultFormat: dataFormat === DataFormat.PICKLE ? "pickle" : "json",
        },
      },
      timeoutSecs: definition.timeoutSecs,
      dataFormat,
      blobs,
      onLine: (stream, text) => this.#print(call, input, stream, text),
      onArguments: (target) => calls.describe(id, target),
    });
    this.#executions.set(id, execution);
    const ending = await execution.ended.finally(() => this.#executions.delete(id));
    this.#tell(call, TaskState.COMPLETED, ending.state);
    return ending;
  }

  #print(call: CallRecord, input: CallInput, stream: "stdout" | "stderr", text: string): void {
    const { appId, functionId, id: callId } = call;
    this.#services.logs.append(appId, { functionId, callId, inputId: input.id, stream, text: `${text}\n` });
  }

  #tell(call: CallRecord, taskState: number, what: string): void {
    const { appId, functionId, id: callId, tag } = call;
    const inputId = call.input?.id ?? "";
    this.#services.log.info({ callId, function: tag, volumeId: call.volumeId }, `call ${what}`);
    this.#services.logs.append(appId, { functionId, callId, inputId, stream: "system", text: "", taskState });
  }
}

/** Modal's rule: the answer is in the caller's format where the function offers that. */
function resultFormat(inputFormat: number, offered: readonly number[]): number {
  return offered.includes(inputFormat) ? inputFormat : (offered[0] ?? DataFormat.CBOR);
}
