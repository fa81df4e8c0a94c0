/** Arguments of a call, CBOR on the wire. `undefined` is left out; big integers become BigInt. */
export interface CallInput {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** State of a call, as the server knows it. */
export type CallState =
  | { readonly kind: "empty" }
  | { readonly kind: "running" }
  | {
      readonly kind: "succeeded";
      readonly value: unknown;
      /** How long the function ran, or null where the server does not say. */
      readonly runSeconds: number | null;
    };

/** A line of a container's output. */
export interface LogLine {
  readonly text: string;
  readonly stream: "stdout" | "stderr" | "system";
}

/** Modal function calls, known by ID, so that any process can find them again. */
export interface Calls {
  /**
   * Opens a call without input and gives its ID; nothing runs yet. Where the server refuses that, the
   * input is sent at once and `started` is true.
   */
  open(options: {
    functionId: string;
    input: CallInput;
    signal: AbortSignal;
  }): Promise<{ callId: string; started: boolean }>;
  /**
   * Opens a call that `open` will probably be asked for soon, so that it need not wait. Best effort, never throws. An
   * empty call costs nothing, is nobody's until `open` gives it, and is forgotten where nobody comes for it.
   */
  openAhead(options: { functionId: string }): void;
  /** Puts the one input into an opened call; from here on it costs money. */
  start(options: {
    functionId: string;
    callId: string;
    input: CallInput;
    signal: AbortSignal;
  }): Promise<void>;
  /**
   * Asks what the call has, waiting up to `waitMs` (one long poll of at most 55 s) for it to finish.
   * Throws `CALL_LOST` when the server does not know it or its result has expired, and the function's
   * own failure as its code (`FUNCTION_FAILED`, `FUNCTION_TIMED_OUT`, `PLATFORM_FAILED` ...).
   */
  poll(options: { callId: string; waitMs: number; signal: AbortSignal }): Promise<CallState>;
  /** Stops the call; unknown and finished calls are fine. */
  cancel(options: { callId: string; terminateContainers: boolean; signal?: AbortSignal }): Promise<void>;
  /** Follows the call's output until `signal` aborts; best effort, never throws, resumes by entry ID. */
  followLogs(options: {
    appId: string;
    callId: string;
    signal: AbortSignal;
    onLine: (line: LogLine) => void;
  }): Promise<void>;
}
