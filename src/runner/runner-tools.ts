import type { EmitJobEvent } from "../job/events.ts";
import type { StepTools } from "../steps/context.ts";

/** What the runner needs beside the steps' tools. */
export interface RunnerTools extends StepTools {
  readonly emit: EmitJobEvent;
  /** In [0, 1). */
  readonly random: () => number;
}
