import type { JobRequest } from "../job/contract.ts";
import type { FunctionDirectory } from "../ports/functions.ts";
import { cacheAgeOf } from "./cached-transcript.ts";
import type { StepTools } from "./context.ts";

/** Whether the film is to be taken over as it is, if it fits. */
export function mayCopy(job: JobRequest): boolean {
  return job.type === "convert" && job.request.copy;
}

/** The function of a job's call; without a GPU where it has one. */
export function functionFor(runtime: FunctionDirectory, { type }: JobRequest, withoutGpu: boolean): string {
  const remuxId = withoutGpu ? runtime.remuxId : null;
  return remuxId ?? runtime.functionId(type);
}

/**
 * Opens the job's call without its input while the end of the upload is still confirmed. Nothing rests on it: the call
 * step opens its own where none is ready. Left out where there may be several calls, or none.
 */
export function openCallAhead(
  { request: job, signal }: { readonly request: JobRequest; readonly signal: AbortSignal },
  tools: StepTools,
): void {
  const isInParts = job.type === "transcribe" && (job.request.parallel ?? tools.parallel.containers) > 1;
  if (isInParts || cacheAgeOf(job, tools) > 0) return;
  void tools
    .runtime(signal)
    .then((runtime) => tools.calls.openAhead({ functionId: functionFor(runtime, job, mayCopy(job)) }))
    // The call step meets the same trouble, and counts it.
    .catch(() => undefined);
}
