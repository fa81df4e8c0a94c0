import { DataFormat, ResultStatus } from "../enums.ts";
import { failedPrecondition, invalidArgument, notFound } from "../failures.ts";
import type {
  CallRecord,
  CallResult,
  FunctionRecord,
  GivenInput,
  InputRecord,
  InputTarget,
} from "../store/records.ts";
import { newId, type State } from "../store/state.ts";
import { compareEntryIds, EntryIds, isLater } from "./entry-id.ts";
import { Waiters } from "./waiters.ts";

/** How an input ended. */
export interface Ending {
  readonly state: "succeeded" | "failed" | "cancelled";
  readonly result: CallResult;
}

/** The facts of calls: opened, given their inputs, ended input by input; and waiting for that. */
export class Calls {
  readonly #state: State;
  readonly #now: () => number;
  readonly #entryIds: EntryIds;
  readonly #waiters = new Waiters();
  /** IDs of the inputs of each call, by their place in it. */
  readonly #inputs = new Map<string, Map<number, string>>();

  constructor(state: State, now: () => number) {
    this.#state = state;
    this.#now = now;
    this.#entryIds = new EntryIds(now);
    for (const input of state.inputs.all()) this.#index(input);
  }

  /**
   * Ends the inputs that ran when the last host died, and returns the queued ones, oldest first. With `endQueued` those
   * are ended as well.
   */
  recover({ endQueued }: { endQueued: boolean }): InputRecord[] {
    const unfinished = [...this.#state.inputs.all()].filter(isUnfinished);
    const lost = unfinished.filter(({ state }) => endQueued || state === "running");
    for (const { id } of lost) {
      this.end(id, {
        state: "failed",
        result: {
          status: ResultStatus.INTERNAL_FAILURE,
          exception: "The GPU host was restarted while the function ran",
          dataFormat: DataFormat.CBOR,
        },
      });
    }
    return unfinished
      .filter((input) => !lost.includes(input))
      .toSorted((a, b) => a.createdAt - b.createdAt || a.idx - b.idx);
  }

  open(target: FunctionRecord, options: { isMap: boolean }): CallRecord {
    return this.#state.calls.put({
      id: newId("fc"),
      functionId: target.id,
      appId: target.appId,
      tag: target.tag,
      createdAt: this.#now(),
      isMap: options.isMap,
    });
  }

  get(id: string): CallRecord {
    const call = this.#state.calls.get(id);
    if (call === undefined) throw notFound(`Function call ${id}`);
    return call;
  }

  input(id: string): InputRecord | undefined {
    return this.#state.inputs.get(id);
  }

  /** The inputs of a call, in their order. */
  inputsOf(callId: string): InputRecord[] {
    const ids = [...(this.#inputs.get(callId) ?? [])].toSorted(([a], [b]) => a - b);
    return ids.flatMap(([, id]) => this.#state.inputs.get(id) ?? []);
  }

  /** Gives a call an input. A place that is taken keeps what it has, so that nothing runs twice. */
  put(callId: string, given: GivenInput, target: InputTarget): { input: InputRecord; isNew: boolean } {
    const call = this.get(callId);
    const inputs = this.#inputs.get(callId);
    const known = this.#state.inputs.get(inputs?.get(given.idx) ?? "");
    if (known !== undefined) return { input: known, isNew: false };
    if (call.cancelledAt !== undefined)
      throw failedPrecondition(`Function call ${callId} has been cancelled`);
    if (!call.isMap && (inputs?.size ?? 0) > 0) throw invalidArgument("A unary call has one input");
    const input = this.#state.inputs.put({
      ...given,
      ...target,
      id: newId("in"),
      callId,
      createdAt: this.#now(),
      state: "queued",
    });
    this.#index(input);
    return { input, isNew: true };
  }

  /** Adds what only the child could read out of pickled arguments. */
  describe(inputId: string, target: InputTarget): void {
    this.#state.inputs.patch(inputId, target);
  }

  markRunning(inputId: string): void {
    this.#state.inputs.patch(inputId, { state: "running", startedAt: this.#now() });
  }

  end(inputId: string, { state, result }: Ending): void {
    const input = this.#state.inputs.get(inputId);
    if (input === undefined || !isUnfinished(input)) return;
    const entryId = this.#entryIds.next();
    this.#state.inputs.patch(inputId, { state, result, endedAt: this.#now(), entryId });
    this.#waiters.wake(input.callId);
  }

  /** Lets a call take no more inputs; returns those that have not ended. */
  cancel(callId: string): InputRecord[] {
    const call = this.get(callId);
    if (call.cancelledAt === undefined) this.#state.calls.put({ ...call, cancelledAt: this.#now() });
    this.#waiters.wake(callId);
    return this.inputsOf(callId).filter(isUnfinished);
  }

  /** Drops an output that a client does not want to read again. */
  clear(inputId: string): void {
    const input = this.#state.inputs.get(inputId);
    if (input !== undefined) this.#state.inputs.put({ ...input, result: undefined });
  }

  forget(callId: string): void {
    for (const { id } of this.inputsOf(callId)) this.#state.inputs.remove(id);
    this.#inputs.delete(callId);
    this.#state.calls.remove(callId);
    this.#waiters.wake(callId);
  }

  unfinishedOf(appId: string): CallRecord[] {
    return [...this.#state.calls.all()].filter(
      (call) => call.appId === appId && this.inputsOf(call.id).some(isUnfinished),
    );
  }

  /** The inputs that have ended after the one with this entry ID and whose output is kept, in the order of their end. */
  outputsAfter(callId: string, entryId: string): InputRecord[] {
    return this.inputsOf(callId)
      .filter((input) => input.result !== undefined && isLater(input.entryId ?? "", entryId))
      .toSorted((a, b) => compareEntryIds(a.entryId ?? "", b.entryId ?? ""));
  }

  /** Resolves when something happens to the call, at the deadline, or when `signal` aborts. */
  async changed(callId: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    await this.#waiters.wait(callId, timeoutMs, signal);
  }

  #index({ id, callId, idx }: InputRecord): void {
    const inputs = this.#inputs.get(callId) ?? new Map<number, string>();
    this.#inputs.set(callId, inputs.set(idx, id));
  }
}

/** Whether an input waits or runs. */
export function isUnfinished({ state }: InputRecord): boolean {
  return state === "queued" || state === "running";
}
