import { toMirumojiError } from "../../job/errors.ts";
import { throwIfAborted } from "../rpc/abort.ts";
import { APP_STEPS, END_APP } from "./app-steps.ts";
import { CALL_STEPS } from "./call-steps.ts";
import { HELLO_STEPS } from "./hello-steps.ts";
import type { CanaryOptions, CanaryRun, CanaryStep, StepReport } from "./step.ts";
import { DELETE_VOLUME, VOLUME_STEPS } from "./volume-steps.ts";

const WORK: readonly CanaryStep[] = [...HELLO_STEPS, ...APP_STEPS, ...VOLUME_STEPS, ...CALL_STEPS];
/** Steps that always run, even after a failure or an interrupt. */
const CLEAN_UP: readonly CanaryStep[] = [DELETE_VOLUME, END_APP];
const CLEAN_UP_LIMIT_MS = 60_000;

/**
 * Walks the whole path of a job on a server, with a throw-away app and volume and a small CPU function,
 * and reports each step. After the first failure the rest is skipped and everything is deleted.
 */
export async function runCanary(
  options: CanaryOptions,
  onStep: (report: StepReport) => void = () => undefined,
): Promise<{ ok: boolean; steps: StepReport[] }> {
  const run: CanaryRun = { ...options, heartbeats: { answered: 0, failed: 0, stop: () => undefined } };
  const steps: StepReport[] = [];
  const report = (one: StepReport): void => {
    steps.push(one);
    onStep(one);
  };
  for (const step of WORK) {
    const failed = steps.some(({ status }) => status === "failed");
    report(failed ? skipped(step) : await attempt(step, run, options.signal));
  }
  for (const step of CLEAN_UP) report(await attempt(step, run, AbortSignal.timeout(CLEAN_UP_LIMIT_MS)));
  return { ok: steps.every(({ status }) => status === "passed"), steps };
}

function skipped({ name }: CanaryStep): StepReport {
  return { name, status: "skipped", ms: 0, learnt: {}, error: null };
}

async function attempt(step: CanaryStep, run: CanaryRun, signal: AbortSignal): Promise<StepReport> {
  const startedAt = performance.now();
  const ended = (rest: Pick<StepReport, "status" | "learnt" | "error">): StepReport => {
    return { name: step.name, ms: Math.round(performance.now() - startedAt), ...rest };
  };
  try {
    throwIfAborted(signal);
    return ended({ status: "passed", learnt: await step.run(run, signal), error: null });
  } catch (thrown) {
    const { code, message } = toMirumojiError(thrown);
    return ended({ status: "failed", learnt: {}, error: { code, message } });
  }
}
