import type { JobType } from "../job/contract.ts";

/** The registered functions, one per job type. */
export interface FunctionDirectory {
  readonly appId: string;
  functionId(type: JobType): string;
  /** The function without a GPU that copies films which fit already; null where there is none. */
  readonly remuxId: string | null;
  /** Whether `transcribe` can be asked for a part of a film. */
  readonly takesParts: boolean;
  /** `module:function` of the image's own functions, which return plain strings; others are our handler's. */
  readonly imageFunctions: Readonly<Partial<Record<JobType, string>>>;
}
