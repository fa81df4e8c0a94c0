import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from "../../../src/job/checkpoint.ts";
import { MirumojiError, type ErrorCode } from "../../../src/job/errors.ts";
import type { Budget } from "../../../src/job/budget.ts";
import type { EmitJobEvent, JobEventName, JobEvents } from "../../../src/job/events.ts";
import type { EndedCall } from "../../../src/job/receipt.ts";
import type { JobSummary } from "../../../src/job/summary.ts";
import type { Delivery } from "../../../src/queue/delivery.ts";
import { JobSignals } from "../../../src/queue/job-signals.ts";
import type { Commit, Lease } from "../../../src/queue/lease.ts";
import type { RunnerTools } from "../../../src/runner/job-run.ts";
import type { CallState } from "../../../src/ports/calls.ts";

/** Side effects that a test can make fail, in the order in which a job has them. */
export type Effect = "create" | "put" | "open" | "start" | "poll" | "get" | "write" | "delete" | "cancel";

/**
 * Volumes, calls, files and the store as plain values: what remote services would hold, so that a test can
 * look at it after any sequence of failures.
 */
export class FakeWorld {
  readonly volumes = new Set<string>();
  readonly calls = new Map<string, { started: number; cancelled: boolean }>();
  readonly outputs = new Map<string, string>();
  readonly effects: Effect[] = [];
  readonly events: { name: JobEventName; event: JobEvents[JobEventName] }[] = [];
  checkpoint: string | null = null;
  summary: JobSummary | null = null;
  ledger = new Map<string, string | null>();
  /** Job that has claimed each output. */
  readonly claims = new Map<string, string>();
  owner = "w1";
  clock = 1000;
  commits = 0;
  /** Calls that were booked as expenses. */
  readonly spent: EndedCall[] = [];
  cancelRequested = false;
  retriedAt = 0;
  /** Whether Modal is well when a job says that it is not. */
  isModalWell = false;
  /** How many more looks at a started call find it running. */
  waiting = 0;
  /** Called before each effect; throwing makes it fail. */
  before: (effect: Effect) => void = () => undefined;
  #serial = 0;

  budget: Budget = {};
  remuxId: string | null = null;
  /** USD that is held for calls that are not over; null after none was. */
  reserved: number | null = null;

  readonly emit: EmitJobEvent = (name, event) => {
    this.events.push({ name, event });
  };

  named<N extends JobEventName>(name: N): JobEvents[N][] {
    return this.events.filter((entry) => entry.name === name).map((entry) => entry.event as JobEvents[N]);
  }

  stored(): Checkpoint | null {
    return this.checkpoint === null ? null : decodeCheckpoint(this.checkpoint);
  }

  #act(effect: Effect): void {
    this.clock += 10;
    this.before(effect);
    this.effects.push(effect);
  }

  #volume(id: string): void {
    if (!this.volumes.has(id)) throw new MirumojiError("VOLUME_LOST", `${id} is gone`);
  }

  tools(): RunnerTools {
    return {
      now: () => this.clock,
      price: () => ({ gpu: "T4", asOf: "2026-05-07", usdPerSecond: 0.5 }),
      budget: this.budget,
      random: () => 0.5,
      emit: this.emit,
      platform: { report: async () => await Promise.resolve(!this.isModalWell) },
      callDeadlineMs: 60_000,
      queueWaitMs: 60_000,
      jobDeadlineMs: 60_000,
      uploadAudioOnly: "auto",
      models: { allowed: [] },
      engines: async () => await Promise.resolve(null),
      editor: null,
      cacheSeconds: 0,
      cacheMark: "",
      parallel: { containers: 1, startSeconds: 20 },
      partCalls: {
        open: async () => await Promise.reject(new Error("no film is in parts here")),
        start: async () => await Promise.reject(new Error("no film is in parts here")),
        poll: async () => await Promise.reject(new Error("no film is in parts here")),
      },
      transcripts: { put: async () => await Promise.resolve(), get: async () => await Promise.resolve(null) },
      runtime: async () =>
        await Promise.resolve({
          appId: "ap-1",
          functionId: (type) => `fu-${type}`,
          remuxId: this.remuxId,
          takesParts: true,
          imageFunctions: {},
        }),
      volumes: {
        create: async () => {
          this.#act("create");
          this.#serial += 1;
          const volumeId = `vo-${this.#serial}`;
          this.volumes.add(volumeId);
          return await Promise.resolve({ volumeId });
        },
        putFile: async ({ volumeId }) => {
          this.#act("put");
          this.#volume(volumeId);
          return await Promise.resolve({ sizeBytes: 100, sentBytes: 90 });
        },
        putStream: async ({ volumeId }) => {
          this.#act("put");
          this.#volume(volumeId);
          return await Promise.resolve({ sizeBytes: 100, sentBytes: 90 });
        },
        getFile: async ({ volumeId, into }) => {
          this.#act("get");
          this.#volume(volumeId);
          await into.writeFile("video");
          return { sizeBytes: 5, fetchedBytes: 5 };
        },
        readFile: async ({ volumeId }) => {
          this.#act("get");
          this.#volume(volumeId);
          return await Promise.resolve(Buffer.from("video"));
        },
        heartbeat: async ({ volumeId }) => {
          this.#volume(volumeId);
          await Promise.resolve();
        },
        delete: async ({ volumeId }) => {
          this.#act("delete");
          this.volumes.delete(volumeId);
          await Promise.resolve();
        },
      },
      calls: {
        openAhead: () => undefined,
        open: async () => {
          this.#act("open");
          this.#serial += 1;
          const callId = `fc-${this.#serial}`;
          this.calls.set(callId, { started: 0, cancelled: false });
          return await Promise.resolve({ callId, started: false });
        },
        start: async ({ callId }) => {
          this.#act("start");
          this.#call(callId).started += 1;
          await Promise.resolve();
        },
        poll: async ({ callId }): Promise<CallState> => {
          this.#act("poll");
          if (this.#call(callId).started === 0) return await Promise.resolve({ kind: "empty" });
          if (this.waiting > 0) {
            this.waiting -= 1;
            return await Promise.resolve({ kind: "running" });
          }
          return await Promise.resolve({
            kind: "succeeded",
            value: {
              v: 1,
              ok: true,
              path: "j1/out.mp4",
              encoder: "libx264",
              mediaSeconds: 2,
              gpuSeconds: 1,
              warnings: [],
            },
            runSeconds: 1,
          });
        },
        cancel: async ({ callId }) => {
          this.#act("cancel");
          const call = this.calls.get(callId);
          if (call !== undefined) call.cancelled = true;
          await Promise.resolve();
        },
        followLogs: async () => {
          await Promise.resolve();
        },
      },
      apps: {
        heartbeat: async () => {
          await Promise.resolve();
        },
      },
      media: {
        openInput: async ({ path }) =>
          await Promise.resolve({
            localPath: `/media/${path}`,
            seconds: 2,
            track: null,
            warnings: [],
            openAudio: async () => await Promise.resolve(null),
            [Symbol.asyncDispose]: async () => await Promise.resolve(),
          }),
        checkOutputs: async ({ outputs }) => await Promise.resolve(outputs.map(({ path }) => path)),
        writeOutputs: async ({ outputs }) => {
          this.#act("get");
          this.#volume(this.stored()?.facts.volumeId ?? "");
          this.#act("write");
          for (const { output } of outputs) this.outputs.set(output.path, "video");
          return await Promise.resolve(
            outputs.map(({ output: { path, format } }) => ({
              path,
              format,
              bytes: 5,
              sha256: "0".repeat(64),
            })),
          );
        },
        removePartialOutputs: async () => {
          await Promise.resolve();
        },
      },
    };
  }

  #call(id: string) {
    const call = this.calls.get(id);
    if (call === undefined) throw new MirumojiError("CALL_LOST", `${id} is unknown`);
    return call;
  }

  lease(token: string): Lease {
    return {
      load: async () =>
        await Promise.resolve({
          record: this.checkpoint,
          cancelRequested: this.cancelRequested,
          retriedAt: this.retriedAt,
          crashesBefore: 0,
        }),
      commit: async (commit: Commit) => {
        await Promise.resolve();
        if (this.owner !== token) return "refused";
        const targets = commit.targets ?? [];
        const holder = targets.map((target) => this.claims.get(target) ?? "j1").find((job) => job !== "j1");
        if (holder !== undefined) return `claimed ${holder}`;
        for (const target of targets) this.claims.set(target, "j1");
        this.commits += 1;
        if (commit.spend !== undefined) {
          this.spent.push(commit.spend);
          this.reserved = null;
        }
        if (commit.checkpoint !== undefined) this.checkpoint = encodeCheckpoint(commit.checkpoint);
        if (commit.ledger !== undefined) this.ledger.set(commit.ledger.volumeId, commit.ledger.entry.callId);
        if (commit.strike !== undefined) this.ledger.delete(commit.strike);
        if (commit.summary !== undefined) this.summary = commit.summary;
        return this.cancelRequested ? "cancelRequested" : "written";
      },
      speed: async () => await Promise.resolve(null),
      reserve: async (estimate, limits) => {
        await Promise.resolve();
        if (this.owner !== token) return "refused";
        const usd = estimate(null);
        const usedUsd = this.spent.reduce((sum, call) => sum + (call.usd ?? 0), 0);
        if (limits.perDay !== undefined && usedUsd + usd > limits.perDay) {
          const { over = "fail", perDay: limitUsd } = limits;
          return { usd, limit: "perDay", limitUsd, usedUsd, renewsInSeconds: 60, over };
        }
        this.reserved = usd;
        return "reserved";
      },
      restate: async () => await Promise.resolve(),
      confirm: async () => await Promise.resolve(),
      settle: async ({ volumeId, summary, targets = [] }) => {
        await Promise.resolve();
        for (const target of targets) this.claims.delete(target);
        this.checkpoint = null;
        this.reserved = null;
        this.summary = summary;
        if (volumeId !== null) this.ledger.delete(volumeId);
      },
    };
  }

  delivery(changes: Partial<Delivery> = {}): Delivery {
    return {
      jobId: "j1",
      queue: "convert",
      name: "convert",
      data: { v: 1, input: "film.mkv" },
      isFirst: this.checkpoint === null,
      crashes: 0,
      submittedAt: 0,
      lease: this.lease("w1"),
      signals: new JobSignals(),
      ...changes,
    };
  }
}

/** Makes one effect fail with a code, the first `times` times. */
export function failing(effect: Effect, code: ErrorCode, times = 1): (effect: Effect) => void {
  let left = times;
  return (happening) => {
    if (happening !== effect || left === 0) return;
    left -= 1;
    throw new MirumojiError(code, "made to fail");
  };
}
