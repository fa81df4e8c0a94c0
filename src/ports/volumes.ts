import type { FileHandle } from "node:fs/promises";

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
    /** Called when all is sent, before it is looked for. */
    onSent?: () => void;
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
    onSent?: () => void;
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
