import type { MirumojiError } from "../job/errors.ts";
import type { CallInput } from "./calls.ts";

/** An input of a call and its place in it, from 0. */
export interface PlacedInput {
  readonly idx: number;
  readonly input: CallInput;
}

/** Output of one input of a call. */
export interface PartOutput {
  readonly idx: number;
  /** The value that the function returned, or the reason why it did not. */
  readonly end: { readonly value: unknown } | { readonly error: MirumojiError };
  /** How long the function ran, or null where the server does not say. */
  readonly runSeconds: number | null;
}

/** News of a call with several inputs. */
export interface PartsSight {
  readonly outputs: readonly PartOutput[];
  /** Where the next look begins. */
  readonly cursor: string;
  /** Inputs that have not ended. */
  readonly unfinished: number;
  /** How many inputs the server has; null where nothing gave a reason to ask. */
  readonly inputs: number | null;
}

/** Calls with several inputs under one ID. Their outputs come as they are there, and stay until they are asked for. */
export interface PartCalls {
  /**
   * Opens a call without input and gives its ID; nothing runs yet. Where the server refuses that, the inputs are sent at
   * once and `started` is true.
   */
  open(options: {
    functionId: string;
    inputs: readonly PlacedInput[];
    signal: AbortSignal;
  }): Promise<{ callId: string; started: boolean }>;
  /** Puts inputs into an opened call; from here on they cost money. A place that is taken keeps what it has. */
  start(options: {
    functionId: string;
    callId: string;
    inputs: readonly PlacedInput[];
    signal: AbortSignal;
  }): Promise<void>;
  /**
   * Takes the outputs that came after `cursor` (null: all), waiting up to `waitMs` for the first. An input's failure is
   * its output. Throws `CALL_LOST` when the server does not know the call.
   */
  poll(options: {
    callId: string;
    cursor: string | null;
    waitMs: number;
    signal: AbortSignal;
  }): Promise<PartsSight>;
}
