import type { LoadedBytes } from "./block-worker.ts";
import type { Block, TransferSlot } from "./transfer-limiter.ts";

/** Source of an upload, block by block. */
export interface UploadSource {
  /** Size in bytes; null while only the end of the source can tell. */
  readonly sizeBytes: number | null;
  /** How many bytes it probably has, for progress. */
  readonly expectedBytes: number;
  /** Whether a block can be loaded again, and blocks in any order; several at a time then. */
  readonly isRepeatable: boolean;
  /**
   * Loads block `index` into the front of a block; fewer bytes than a whole one only at the end, and none
   * after it.
   *
   * @throws MirumojiError `INPUT_*`
   */
  load(
    index: number,
    block: Block,
    threads: TransferSlot["threads"],
    signal: AbortSignal,
  ): Promise<LoadedBytes>;
  /** For content that lies in a file: its blocks are hashed and sent from there, and take no memory. */
  readonly inFile?: {
    /** As `load`, keeping nothing. */
    hash(index: number, threads: TransferSlot["threads"], signal: AbortSignal): Promise<LoadedBytes>;
    /** Where the block is. */
    part(index: number): { readonly fd: number; readonly position: number };
    readonly device: bigint;
    /** Error for a file that could not be read while it was sent. */
    failed(error: unknown): Error;
  };
  /** Throws `INPUT_CHANGED` when it is not what it was in the beginning. */
  assertUnchanged(): Promise<void>;
  /** Error for content that has changed. */
  changed(why: string): Error;
}
