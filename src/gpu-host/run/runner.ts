import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DataFormat, TaskState } from "../enums.ts";
import { handlerEnvironment } from "../../config/child-environment.ts";
import type { Faults } from "../faults.ts";
import type { Log } from "../log.ts";
import type { Blobs } from "../store/blobs.ts";
import type { CallRecord, FunctionDefinition, FunctionRecord, InputRecord } from "../store/records.ts";
import type { State } from "../store/state.ts";
import { callKind, childArguments } from "./arguments.ts";
import { type Calls, type Ending, isUnfinished } from "./calls.ts";
import { Execution } from "./execution.ts";
import { Launcher } from "./launcher.ts";
import type { Logs } from "./logs.ts";
import { hostFailure, terminated } from "./result.ts";
import type { WarmLimits } from "./warm.ts";

interface Services {
  readonly state: State;
  readonly calls: Calls;
  readonly blobs: Blobs;
  readonly logs: Logs;
  readonly python: string;
  readonly maxConcurrentCalls: number;
  readonly warm: WarmLimits;
  readonly faults: Faults;
  readonly log: Log;
}

/** An input with its call. */
interface Work {
  readonly call: CallRecord;
  readonly input: InputRecord;
}

/** Runs inputs of calls as child processes, a limited number at a time, in the order in which they came. */
export class Runner {
  readonly #services: Services;
  readonly #launcher: Launcher;
  readonly #environment: () => NodeJS.ProcessEnv;
  readonly #queue: Work[] = [];
  /** Inputs that take one of the places, until everything of theirs is cleaned up. */
  readonly #active = new Map<string, Promise<void>>();
  readonly #executions = new Map<string, Execution>();
  #isClosed = false;

  constructor(services: Services) {
    this.#services = services;
    const { python, log, state, warm } = services;
    this.#environment = () => handlerEnvironment({ MIRUMOJI_GPU_HOST_VOLUMES: state.paths.volumes });
    this.#launcher = new Launcher({ python, log, environment: this.#environment, warm });
  }

  /** Processes that wait for another call. */
  warm(): ReturnType<Launcher["warm"]> {
    return this.#launcher.warm();
  }

  /** Takes an input that is queued. */
  submit(input: InputRecord): void {
    const work = { call: this.#services.calls.get(input.callId), input };
    this.#queue.push(work);
    this.#tell(work, TaskState.QUEUED, "waits for a free place");
    this.#fill();
  }

  /** Stops a call; inputs that have not started never will. */
  cancel(callId: string, options: { atOnce: boolean }): void {
    const ending: Ending = { state: "cancelled", result: terminated() };
    for (const { id } of this.#services.calls.cancel(callId)) {
      const execution = this.#executions.get(id);
      // One that has ended is passed over when its turn comes.
      if (execution === undefined) this.#services.calls.end(id, ending);
      else execution.stop(ending, options);
    }
  }

  /** Kills what runs and waits until it is gone; the next host finds these inputs unfinished. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#launcher.close();
    await Promise.all(this.#active.values());
  }

  #fill(): void {
    while (this.#active.size < this.#services.maxConcurrentCalls && !this.#isClosed) {
      const work = this.#queue.shift();
      if (work === undefined) return;
      const { id } = work.input;
      const running = this.#run(work).finally(() => {
        this.#active.delete(id);
        this.#fill();
      });
      this.#active.set(id, running);
    }
  }

  async #run(work: Work): Promise<void> {
    const { calls, state, log } = this.#services;
    const { id, callId } = work.input;
    const workDir = join(state.paths.scratch, id);
    try {
      await mkdir(workDir, { recursive: true });
      const ending = await this.#execute(work, workDir);
      if (ending !== undefined && !this.#isClosed) calls.end(id, this.#disturbed(ending));
    } catch (error) {
      log.error({ callId, error }, "call failed inside the host");
      calls.end(id, { state: "failed", result: hostFailure(error) });
    } finally {
      await rm(workDir, { recursive: true, force: true, maxRetries: 3 }).catch((error: unknown) => {
        log.warn({ callId, error }, "working directory not removed");
      });
    }
  }

  /** Runs an input to its end; undefined when it was cancelled before it could start. */
  async #execute(work: Work, workDir: string): Promise<Ending | undefined> {
    const { calls, state, blobs } = this.#services;
    const { call, input } = work;
    const args = await childArguments(input, blobs);
    const now = calls.input(input.id);
    if (now === undefined || !isUnfinished(now) || this.#isClosed) return undefined;
    const { definition, outputFormats } = registered(state.functions.get(call.functionId), call);
    const dataFormat = resultFormat(input.dataFormat, outputFormats);
    calls.markRunning(input.id);
    this.#tell(work, TaskState.ACTIVE, "runs");
    const execution = new Execution({
      launcher: this.#launcher,
      start: {
        id: input.id,
        workDir,
        env: { ...this.#environment(), ...mountVariable(state, definition), TMPDIR: workDir },
        kind: callKind(definition.id, args),
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
      onLine: (stream, text) => this.#print(work, stream, text),
      onArguments: (target) => calls.describe(input.id, target),
    });
    this.#executions.set(input.id, execution);
    const ending = await execution.ended.finally(() => this.#executions.delete(input.id));
    this.#tell(work, TaskState.COMPLETED, ending.state);
    return ending;
  }

  /** An ending, or the failure that a test ordered in its place. */
  #disturbed(ending: Ending): Ending {
    const status = this.#services.faults.result();
    if (status === undefined) return ending;
    return { state: "failed", result: { status, dataFormat: ending.result.dataFormat } };
  }

  #print({ call, input }: Work, stream: "stdout" | "stderr", text: string): void {
    const { appId, functionId, id: callId } = call;
    this.#services.logs.append(appId, { functionId, callId, inputId: input.id, stream, text: `${text}\n` });
  }

  #tell({ call, input }: Work, taskState: number, what: string): void {
    const { appId, functionId, id: callId, tag } = call;
    this.#services.log.info({ callId, function: tag, volumeId: input.volumeId }, `call ${what}`);
    this.#services.logs.append(appId, {
      functionId,
      callId,
      inputId: input.id,
      stream: "system",
      text: "",
      taskState,
    });
  }
}

/** Tells a function where its mounted volumes are: only root could put them where it expects them. */
function mountVariable(
  { paths }: State,
  { volumes = [] }: FunctionDefinition,
): { MIRUMOJI_GPU_HOST_MOUNTS?: string } {
  if (volumes.length === 0) return {};
  const places = volumes.map(({ volumeId, path }) => [path, join(paths.volumes, volumeId, "files")]);
  return { MIRUMOJI_GPU_HOST_MOUNTS: JSON.stringify(Object.fromEntries(places)) };
}

/** @throws Error when the function's record is lost, as after a power cut */
function registered(
  record: FunctionRecord | undefined,
  call: CallRecord,
): FunctionRecord & { readonly definition: FunctionDefinition } {
  if (record?.definition === undefined) throw new Error(`function ${call.functionId} is not known any more`);
  return { ...record, definition: record.definition };
}

/** Modal's rule: the answer is in the caller's format where the function offers that. */
function resultFormat(inputFormat: number, offered: readonly number[]): number {
  return offered.includes(inputFormat) ? inputFormat : (offered[0] ?? DataFormat.CBOR);
}
