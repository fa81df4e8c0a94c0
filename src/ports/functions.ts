import type { JobType } from "../job/contract.ts";

/** The registered functions, one per job type. */
export interface FunctionDirectory {
  readonly appId: string;
  functionId(type: JobType): string;
  /** `module:function` of the image's own functions, which return plain strings; others are our handler's. */
  readonly imageFunctions: Readonly<Partial<Record<JobType, string>>>;
}
