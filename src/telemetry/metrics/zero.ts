import type { GpuPrice } from "../../job/receipt.ts";
import { JOB_TYPES } from "../../job/contract.ts";
import type { Instruments } from "./instruments.ts";
import {
  CALL_OUTCOMES,
  CLEANUPS,
  DIRECTIONS,
  FAILURE_CODES,
  NO_CODE,
  REASONS,
  RECORDS,
  RETRY_CODES,
  STATES,
  STATUSES,
} from "./labels.ts";

/**
 * Initialises every series that dashboards and alerts query to 0: a counter that only appears with its first
 * event hides that event from `rate` and `increase`.
 */
export function startAtZero(instruments: Instruments, { gpu, asOf, usdPerSecond }: GpuPrice): void {
  for (const type of JOB_TYPES) {
    instruments.jobsStarted.inc({ type }, 0);
    instruments.jobsFinished.inc({ type, status: "completed", code: NO_CODE }, 0);
    instruments.jobsFinished.inc({ type, status: "cancelled", code: "CANCELLED" }, 0);
    for (const code of FAILURE_CODES) instruments.jobsFinished.inc({ type, status: "failed", code }, 0);
    for (const status of STATUSES) instruments.jobSeconds.zero({ type, status });
    instruments.waitSeconds.zero({ type });
    instruments.cancelSeconds.zero({ type });
    instruments.callWaitSeconds.zero({ type });
    instruments.callRunSeconds.zero({ type });
    instruments.callProgress.inc({ type }, 0);
    instruments.workSeconds.inc({ type }, 0);
    instruments.mediaSeconds.inc({ type }, 0);
    for (const outcome of CALL_OUTCOMES) {
      instruments.calls.inc({ type, outcome }, 0);
      instruments.gpuSeconds.inc({ type, gpu, outcome }, 0);
      instruments.gpuCost.inc({ type, gpu, outcome }, 0);
    }
    for (const state of STATES) {
      instruments.stateSeconds.zero({ type, state });
      instruments.resumed.inc({ type, state }, 0);
      instruments.released.inc({ type, state }, 0);
      instruments.attempts.inc({ type, state, outcome: "done", code: NO_CODE }, 0);
    }
  }
  instruments.jobsFinished.inc({ type: "unknown", status: "failed", code: "JOB_TYPE_UNKNOWN" }, 0);
  for (const state of STATES) for (const code of RETRY_CODES) instruments.retries.inc({ state, code }, 0);
  for (const direction of DIRECTIONS) {
    instruments.transferBytes.inc({ direction }, 0);
    instruments.transfersInFlight.set({ direction }, 0);
    instruments.transferSeconds.zero({ direction, outcome: "done" });
  }
  for (const action of CLEANUPS) instruments.cleanupFailures.inc({ action }, 0);
  for (const record of RECORDS) instruments.unreadable.inc({ record }, 0);
  for (const reason of REASONS) instruments.reaped.inc({ reason }, 0);
  // A GPU without a known price has no price series, and its estimate stays at 0.
  if (usdPerSecond !== null) instruments.gpuPrice.set({ gpu, as_of: asOf }, usdPerSecond);
}
