import type { FileHandle } from "node:fs/promises";
import type { JobType } from "../job/contract.ts";
import type { OutputFile } from "../job/facts.ts";
import type { PlannedOutput } from "../job/paths.ts";

/** Bytes of one transfer, reported at most every 100 ms and once at the end. */
export interface TransferProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** The remote, ephemeral volume of a job. Every method throws `MirumojiError`s only. */
export interface Volumes {
  /** Makes an ephemeral version 2 volume; the answer's version is verified. */
  create(options: { signal: AbortSignal }): Promise<{ volumeId: string }>;
  /** Sends a file in blocks, then lists it and checks its size. Safe to repeat. */
  putFile(options: {
    volumeId: string;
    remotePath: string;
    localPath: string;
    signal: AbortSignal;
    onProgress?: (progress: TransferProgress) => void;
  }): Promise<{ sizeBytes: number; sentBytes: number }>;
  /** The same with content that is made while it is sent, and cannot be read again. */
  putStream(options: {
    volumeId: string;
    remotePath: string;
    content: AsyncIterable<Uint8Array>;
    /** How many bytes it probably has, for progress; asked again and again. */
    expectedBytes: () => number;
    /** Size of the file in whose place it is sent; what it has less counts as saved. */
    insteadOfBytes?: number;
    signal: AbortSignal;
    onProgress?: (progress: TransferProgress) => void;
  }): Promise<{ sizeBytes: number; sentBytes: number }>;
  /**
   * Fetches a file into an open local file. With the SHA-256 of its content, hexadecimal, and the file open for
   * reading too, it goes on where an interrupted download stopped. Throws `VOLUME_LOST`, `RESULT_MISSING`.
   */
  getFile(options: {
    volumeId: string;
    remotePath: string;
    into: FileHandle;
    sha256?: string | undefined;
    signal: AbortSignal;
    onProgress?: (progress: TransferProgress) => void;
  }): Promise<{ sizeBytes: number; fetchedBytes: number }>;
  /** Fetches a file of at most `maxBytes` into memory. Throws `VOLUME_LOST`, `RESULT_MISSING`, `FUNCTION_RESULT_INVALID`. */
  readFile(options: {
    volumeId: string;
    remotePath: string;
    maxBytes: number;
    signal: AbortSignal;
    onProgress?: (progress: TransferProgress) => void;
  }): Promise<Buffer<ArrayBuffer>>;
  /** Keeps the volume alive. Throws `VOLUME_LOST` when it is gone. */
  heartbeat(options: { volumeId: string; signal?: AbortSignal }): Promise<void>;
  /** Removes the volume by ID; that it is gone already is success. */
  delete(options: { volumeId: string; signal?: AbortSignal }): Promise<void>;
}

/** What the server knows about a call. */
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

/** Arguments of a call, CBOR on the wire. `undefined` is left out; big integers become BigInt. */
export interface CallInput {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** An output and what writes its bytes into an open file, which may hold what an interrupted try left of it. */
export interface OutputToWrite {
  readonly output: PlannedOutput;
  readonly fill: (handle: FileHandle) => Promise<void>;
  /** What the bytes must have; `TRANSFER_CORRUPT` otherwise. */
  readonly sha256?: string | undefined;
}

/** The audio track of an input, 16 kHz mono FLAC, as it comes out of it. */
export interface AudioTrack {
  /** Size of the input. */
  readonly inputBytes: number;
  /** The bytes, once, as they are made; throws `INPUT_CHANGED` when the input is not what it was in the beginning. */
  readonly content: AsyncIterable<Uint8Array>;
  /** How many there will be, as far as can be told by now. */
  expectedBytes(): number;
  /** How long what has come by now plays. */
  seconds(): number;
  /** Ends the work on it, done or not. */
  close(): Promise<void>;
}

/** An input on this machine. */
export interface InputFile {
  readonly localPath: string;
  /** How long it plays, and how long its audio does, where the file says so. */
  readonly seconds: number | null;
  readonly audioSeconds: number | null;
  /**
   * Starts to take the audio track out; null when sending the file itself is as good, which is not looked at when it
   * is forced. Throws `PROGRAM_MISSING`, `AUDIO_EXTRACTION_FAILED`; so does its content.
   */
  openAudio(options: { isForced: boolean; signal: AbortSignal }): Promise<AudioTrack | null>;
}

/** The input and output files of a job, inside the media root. */
export interface MediaFiles {
  /** Checks that the input can be used; gives its place on this machine, and what shows of it. */
  openInput(options: { path: string; needs: "audio" | "video"; signal: AbortSignal }): Promise<InputFile>;
  /** Checks that every output could be written now. Leaves nothing behind. */
  checkOutputs(outputs: readonly PlannedOutput[]): Promise<void>;
  /**
   * Writes outputs, all or none: each into a temporary file beside it, checked and flushed; when all are
   * there they are renamed.
   */
  writeOutputs(options: { jobId: string; outputs: readonly OutputToWrite[] }): Promise<OutputFile[]>;
  /** Removes what a crash or a failure left of outputs that were never finished. */
  removePartialOutputs(options: { jobId: string; outputs: readonly PlannedOutput[] }): Promise<void>;
}

/** The registered functions, one per job type. */
export interface FunctionDirectory {
  readonly appId: string;
  functionId(type: JobType): string;
  /** `module:function` of the image's own functions, which return plain strings; others are our handler's. */
  readonly imageFunctions: Readonly<Partial<Record<JobType, string>>>;
}

/** The registered functions of an app, as every worker of the pool can use them. */
export interface SharedApp {
  readonly appId: string;
  /** What it was registered from; another fingerprint needs another app. */
  readonly fingerprint: string;
  /** Null while somebody is still registering, or died while doing so. */
  readonly functions: Record<JobType, SharedFunction> | null;
}

export interface SharedFunction {
  readonly tag: string;
  readonly functionId: string;
  readonly definitionId: string;
}

/** What the workers of a pool know together about the one app they share. */
export interface AppShare {
  read(): Promise<SharedApp | null>;
  write(app: SharedApp): Promise<void>;
  /** Runs the action while nobody else registers; waits for its turn. */
  exclusively<T>(action: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Says that this worker uses the app; to be repeated with every heartbeat. */
  join(appId: string): Promise<void>;
  /** Says that it does not any more; true when nobody else does and no call needs the app. */
  leave(appId: string): Promise<boolean>;
}

/** Apps by ID, for calls that were started in another worker's app. */
export interface Apps {
  /** Keeps the app alive. Throws `APP_LOST` when it is stopped or gone. */
  heartbeat(options: { appId: string; signal?: AbortSignal }): Promise<void>;
}
