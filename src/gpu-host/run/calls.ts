import { DataFormat, ResultStatus } from "../enums.ts";
import { failedPrecondition, notFound } from "../failures.ts";
import type { CallInput, CallRecord, CallResult, FunctionRecord } from "../store/records.ts";
import { newId, type State } from "../store/state.ts";
import { Waiters } from "./waiters.ts";

/** The facts of calls: opened, given their one input, ended; and waiting for the end. */
export class Calls {
  readonly #state: State;
  readonly #now: () => number;
  readonly #waiters = new Waiters();

  constructor(state: State, now: () => number) {
    this.#state = state;
    this.#now = now;
  }

  /** Ends what ran when the host died, and gives what was still queued, oldest first. */
  recover(): CallRecord[] {
    const records = [...this.#state.calls.all()];
    for (const call of records.filter(({ state }) => state === "running")) {
      this.end(call.id, "failed", {
        status: ResultStatus.INTERNAL_FAILURE,
        exception: "The GPU host was restarted while the function ran",
        dataFormat: DataFormat.CBOR,
      });
    }
    return records.filter(({ state }) => state === "queued").toSorted((a, b) => a.createdAt - b.createdAt);
  }

  open(target: FunctionRecord): CallRecord {
    return this.#state.calls.put({
      id: newId("fc"),
      functionId: target.id,
      appId: target.appId,
      tag: target.tag,
      createdAt: this.#now(),
      state: "open",
    });
  }

  get(id: string): CallRecord {
    const call = this.#state.calls.get(id);
    if (call === undefined) throw notFound(`Function call ${id}`);
    return call;
  }

  /** Gives the call its input; one that has it already keeps it, so that nothing runs twice. */
  put(
    id: string,
    input: Omit<CallInput, "id">,
    target: { volumeId?: string; path?: string },
  ): { call: CallRecord; isNew: boolean } {
    const call = this.get(id);
    if (call.input !== undefined) return { call, isNew: false };
    if (call.state !== "open") throw failedPrecondition(`Function call ${id} has been cancelled`);
    const given = { ...input, id: newId("in") };
    return { call: this.#state.calls.patch(id, { ...target, input: given, state: "queued" }), isNew: true };
  }

  /** What only the child could read out of pickled arguments. */
  describe(id: string, target: { volumeId?: string; path?: string }): void {
    this.#state.calls.patch(id, target);
  }

  markRunning(id: string): void {
    this.#state.calls.patch(id, { state: "running", startedAt: this.#now() });
  }

  end(id: string, state: "succeeded" | "failed" | "cancelled", result: CallResult): void {
    if (!this.#state.calls.has(id)) return;
    this.#state.calls.patch(id, { state, result, endedAt: this.#now() });
    this.#waiters.wake(id);
  }

  /** Drops the output, as a client asks that does not want to read it again. */
  clear(id: string): CallResult | undefined {
    const { result, ...rest } = this.get(id);
    this.#state.calls.put(rest);
    return result;
  }

  forget(id: string): void {
    this.#state.calls.remove(id);
    this.#waiters.wake(id);
  }

  unfinishedOf(appId: string): CallRecord[] {
    return [...this.#state.calls.all()].filter((call) => call.appId === appId && isUnfinished(call));
  }

  /** Resolves when the call ends, at the deadline, or when `signal` aborts. */
  async ended(id: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (isUnfinished(this.get(id))) await this.#waiters.wait(id, timeoutMs, signal);
  }
}

/** Whether the call has an input that is waiting or running. */
export function isUnfinished(call: CallRecord): boolean {
  return call.state === "queued" || call.state === "running";
}
