import { Gauge, type Registry } from "prom-client";
import { JOB_TYPES } from "../../job/contract.ts";
import { isFinalState, type JobState } from "../../job/machine.ts";
import { oneOf, STATES } from "./labels.ts";

/** Time for some worker to take a job once its pause is over; then that one shows its age. */
const TAKING_MS = 60_000;

interface JobInState {
  readonly type: string;
  readonly state: string;
  readonly since: number;
}

/** Jobs that run in this process, and since when each is in its state; also those that wait for their next try. */
export class InFlightJobs {
  readonly #jobs = new Map<string, JobInState>();
  readonly #waiting = new Map<string, JobInState & { readonly until: number }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Records a job's state, and how long it has been in it already; a final state removes the job. */
  enter(jobId: string, type: string, state: JobState, inStateMs = 0): void {
    const key = `${type}:${jobId}`;
    this.#waiting.delete(key);
    if (isFinalState(state)) this.#jobs.delete(key);
    else this.#jobs.set(key, { type, state: oneOf(STATES, state), since: this.#now() - inStateMs });
  }

  /** Removes a job that is no longer worked on here. */
  leave(jobId: string, type: string): void {
    this.#jobs.delete(`${type}:${jobId}`);
  }

  /** Removes a job that goes on here or elsewhere after a pause; until then its age is shown. */
  pause(jobId: string, type: string, delayMs: number): void {
    const key = `${type}:${jobId}`;
    const job = this.#jobs.get(key);
    this.leave(jobId, type);
    const until = this.#now() + delayMs + TAKING_MS;
    if (job !== undefined && until > this.#now()) this.#waiting.set(key, { ...job, until });
  }

  /** Seconds that the jobs of a type have been in `call`, all together. */
  callSeconds(type: string): number {
    const calls = [...this.#jobs.values()].filter((job) => job.type === type && job.state === "call");
    return calls.reduce((sum, { since }) => sum + Math.max(0, this.#now() - since) / 1000, 0);
  }

  /** Number of jobs by type and state, and since when the oldest is in that state. */
  *byState(): Generator<{ type: string; state: string; jobs: number; oldestSeconds: number }> {
    const now = this.#now();
    for (const [key, { until }] of this.#waiting) if (until < now) this.#waiting.delete(key);
    for (const type of JOB_TYPES) {
      for (const state of STATES) {
        const isIn = (job: JobInState) => job.type === type && job.state === state;
        const here = [...this.#jobs.values()].filter(isIn);
        const waiting = [...this.#waiting.values()].filter(isIn);
        const oldest = Math.min(now, ...[...here, ...waiting].map(({ since }) => since));
        yield { type, state, jobs: here.length, oldestSeconds: (now - oldest) / 1000 };
      }
    }
  }
}

/** Exposes the jobs in flight at the time of a scrape. */
export function showInFlight(registry: Registry, inFlight: InFlightJobs, usdPerSecond: number): void {
  const common = { labelNames: ["type", "state"], registers: [registry] };
  new Gauge({
    ...common,
    name: "mirumoji_jobs_in_state",
    help: "Jobs that run here now, by state.",
    collect() {
      for (const { type, state, jobs } of inFlight.byState()) this.set({ type, state }, jobs);
    },
  });
  new Gauge({
    ...common,
    name: "mirumoji_state_oldest_age_seconds",
    help: "How long the oldest of this worker's jobs has been in the state, one that waits for its next try included; 0 without one.",
    collect() {
      for (const { type, state, oldestSeconds } of inFlight.byState()) {
        this.set({ type, state }, oldestSeconds);
      }
    },
  });
  new Gauge({
    name: "mirumoji_running_calls_usd",
    help: "What the calls of this worker's jobs have cost so far, by the time in their state and the price of the GPU.",
    labelNames: ["type"],
    registers: [registry],
    collect() {
      for (const type of JOB_TYPES) this.set({ type }, inFlight.callSeconds(type) * usdPerSecond);
    },
  });
}
