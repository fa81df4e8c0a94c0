import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { LIST_PRICES, parseGpuPrices, pricedGpu } from "../../src/config/gpu-prices.ts";
import { hasProgram } from "../helpers/telemetry/prometheus.ts";
import { ERRORS, isErrorCode, MirumojiError } from "../../src/job/errors.ts";
import type { JobEventName, JobEvents } from "../../src/job/events.ts";
import { outcomeOf } from "../../src/job/outcome.ts";
import { endedCall } from "../../src/job/receipt.ts";
import type { PoolState } from "../../src/telemetry/metrics/collectors.ts";
import { STATES } from "../../src/telemetry/metrics/labels.ts";
import { createMetrics, type Metrics } from "../../src/telemetry/metrics.ts";

/** The most series that one process may have, whatever its jobs are. */
const SERIES_BUDGET = 4000;

const gpu = { gpu: "A10G", asOf: "2026-05-07", usdPerSecond: 0.001 };
const fresh = (now = () => 0) => createMetrics({ version: "1.2.3", gpu, now });
const text = async (metrics: Metrics) => await metrics.registry.metrics();
const seriesOf = (scrape: string) =>
  scrape.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

async function value(metrics: Metrics, series: string): Promise<number | undefined> {
  const line = seriesOf(await text(metrics)).find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length));
}

const base = { jobId: "j1", type: "convert" } as const;

/** Events as garbage would make them: the types say it cannot be, a broken handler or an old worker can. */
function emitGarbage(metrics: Metrics, name: JobEventName, event: Record<string, unknown>): void {
  metrics.subscriber(name, event as unknown as JobEvents[JobEventName]);
}

function garbageJob(metrics: Metrics, index: number): void {
  const id = { jobId: `job-${index}`, type: `type-${index}` };
  const state = `state-${index}`;
  const code = `CODE_${index}`;
  emitGarbage(metrics, "job.started", { ...id, waitedMs: index, resumedAt: index % 2 === 0 ? null : state });
  const step = { ...id, state, attempt: index, outcome: `outcome-${index}`, ms: index, code };
  emitGarbage(metrics, "step.finished", step);
  emitGarbage(metrics, "job.moved", { ...id, from: state, to: "upload", ms: index });
  emitGarbage(metrics, "job.delayed", { ...id, state, code, delayMs: index });
  emitGarbage(metrics, "job.released", { ...id, state, code });
  emitGarbage(metrics, "call.finished", {
    ...id,
    outcome: `o-${index}`,
    totalMs: 5,
    runMs: 3,
    // Of the settings, never of garbage.
    paid: { gpu: "A10G", seconds: 0.003, usd: null },
  });
  emitGarbage(metrics, "cleanup.failed", { ...id, action: `action-${index}`, message: "" });
  const report = { mediaSeconds: 1, gpuSeconds: 1 };
  emitGarbage(metrics, "job.finished", { ...id, status: `status-${index}`, ms: index, code, report });
  metrics.observeRpc({ method: `Method${index}`, code: `CODE-${index}`, ms: index });
  metrics.observeReaped(`reason ${index}`, true);
  metrics.watchTransfer("upload").end("done", 1);
}

describe("label values", () => {
  it("stay within the budget after 10,000 jobs with garbage in every field", async () => {
    const metrics = fresh();
    const before = seriesOf(await text(metrics)).length;
    for (let index = 0; index < 10_000; index += 1) garbageJob(metrics, index);
    const series = seriesOf(await text(metrics));
    const after = series.length;
    console.info({ before, after });
    expect({ before, after, isWithin: after <= SERIES_BUDGET }).toMatchObject({ isWithin: true });
    expect(series.some((line) => line.includes('"other"'))).toBe(true);
    expect(series.filter((line) => /job-\d|CODE_\d|state-\d|type-\d/u.test(line))).toEqual([]);
    for (let index = 0; index < 1000; index += 1) garbageJob(metrics, 20_000 + index);
    expect(seriesOf(await text(metrics))).toHaveLength(after);
  });

  it("stay within it when every code comes in every state", async () => {
    const metrics = fresh();
    for (const code of Object.keys(ERRORS).filter(isErrorCode)) {
      const outcome = outcomeOf(new MirumojiError(code, "")).kind;
      for (const type of ["transcribe", "convert"] as const) {
        metrics.subscriber("job.finished", {
          jobId: "j",
          type,
          status: "failed",
          ms: 1,
          code,
          message: null,
          report: null,
        });
        for (const state of STATES) {
          const step = { jobId: "j", type, state, attempt: 1, outcome, ms: 1, code };
          emitGarbage(metrics, "step.finished", step);
          emitGarbage(metrics, "job.delayed", { ...step, delayMs: 1 });
        }
      }
    }
    expect(seriesOf(await text(metrics)).length).toBeLessThan(SERIES_BUDGET);
  });

  it.runIf(hasProgram("promtool", "the check of the API's metrics"))(
    "are none in a process that runs no jobs, and promtool finds nothing wrong with what is left",
    async () => {
      const scrape = await text(createMetrics({ version: "1.2.3", gpu: null, now: Date.now }));
      const checked = spawnSync("promtool", ["check", "metrics"], { input: scrape, encoding: "utf8" });
      expect({ status: checked.status, said: `${checked.stdout}${checked.stderr}` }).toEqual({
        status: 0,
        said: "",
      });
      expect(seriesOf(scrape).filter((line) => /^mirumoji.*type=/u.test(line))).toEqual([]);
    },
  );

  it("never has two series of one name and labels", async () => {
    const names = seriesOf(await text(fresh())).map((line) => line.slice(0, line.lastIndexOf(" ")));
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });
});

describe("the subscriber", () => {
  it("counts calls with their waiting, running, cost", async () => {
    const metrics = fresh();
    const ended = (end: Parameters<typeof endedCall>[0]) =>
      metrics.subscriber("call.finished", {
        ...base,
        ...end,
        paid: endedCall(end, { gpu: "A10G", asOf: "2026-05-07", usdPerSecond: 0.001 }),
      });
    ended({ callId: "fc-1", outcome: "succeeded", totalMs: 30_000, runMs: 20_000 });
    ended({ callId: "fc-2", outcome: "cancelled", totalMs: 5000, runMs: null });
    const labels = (outcome: string) => `{type="convert",gpu="A10G",outcome="${outcome}"}`;
    expect(await value(metrics, `mirumoji_gpu_seconds_total${labels("succeeded")}`)).toBe(20);
    expect(await value(metrics, `mirumoji_gpu_cost_usd_total${labels("succeeded")}`)).toBeCloseTo(0.02);
    expect(await value(metrics, `mirumoji_gpu_seconds_total${labels("cancelled")}`)).toBe(5);
    expect(await value(metrics, 'mirumoji_gpu_call_wait_seconds_sum{type="convert"}')).toBe(10);
    expect(await value(metrics, 'mirumoji_gpu_call_run_seconds_sum{type="convert"}')).toBe(20);
    expect(await value(metrics, 'mirumoji_gpu_calls_total{type="convert",outcome="cancelled"}')).toBe(1);
  });

  it("knows how long the oldest job has been in its state", async () => {
    let now = 1_000_000;
    const metrics = fresh(() => now);
    metrics.showSlots({ jobs: { transcribe: 2, convert: 3 }, transfers: 5 }, () => 1);
    metrics.subscriber("job.started", { ...base, waitedMs: 0, resumedAt: null });
    const moved = { ...base, attempt: 1, ms: 0, volumeId: null, callId: null };
    metrics.subscriber("job.moved", { ...moved, from: "createVolume", to: "upload" });
    now += 90_000;
    metrics.subscriber("job.started", { ...base, jobId: "j2", waitedMs: 0, resumedAt: "upload" });
    const upload = '{type="convert",state="upload"}';
    expect(await value(metrics, `mirumoji_state_oldest_age_seconds${upload}`)).toBe(90);
    expect(await value(metrics, `mirumoji_jobs_in_state${upload}`)).toBe(2);
    // Another worker had it for long: a new delivery does not make it younger.
    metrics.subscriber("job.started", {
      ...base,
      jobId: "j2",
      waitedMs: 0,
      resumedAt: "upload",
      inStateMs: 7_200_000,
    });
    expect(await value(metrics, `mirumoji_state_oldest_age_seconds${upload}`)).toBe(7200);
    metrics.subscriber("job.fenced", { ...base, state: "upload" });
    metrics.subscriber("job.released", { ...base, jobId: "j2", state: "upload", code: "INTERRUPTED" });
    expect(await value(metrics, `mirumoji_jobs_in_state${upload}`)).toBe(0);
    expect(await value(metrics, `mirumoji_state_oldest_age_seconds${upload}`)).toBe(0);
    // One that waits for its next try is not in hand, and as old as it is until somebody has taken it again.
    metrics.subscriber("job.started", { ...base, waitedMs: 0, resumedAt: "upload", inStateMs: 600_000 });
    metrics.subscriber("job.delayed", {
      ...base,
      state: "upload",
      attempt: 2,
      delayMs: 120_000,
      code: "INTERRUPTED",
    });
    now += 120_000;
    expect(await value(metrics, `mirumoji_jobs_in_state${upload}`)).toBe(0);
    expect(await value(metrics, `mirumoji_state_oldest_age_seconds${upload}`)).toBe(720);
    now += 60_001;
    expect(await value(metrics, `mirumoji_state_oldest_age_seconds${upload}`)).toBe(0);
    expect(await value(metrics, "mirumoji_transfer_slots")).toBe(5);
  });

  it("counts bytes while a transfer runs", async () => {
    const metrics = fresh();
    const transfer = metrics.watchTransfer("upload");
    transfer.moved(100);
    expect(await value(metrics, 'mirumoji_transfers_in_flight{direction="upload"}')).toBe(1);
    expect(await value(metrics, 'mirumoji_transfer_bytes_total{direction="upload"}')).toBe(100);
    transfer.end("failed", 40);
    expect(await value(metrics, 'mirumoji_transfers_in_flight{direction="upload"}')).toBe(0);
    expect(await value(metrics, "mirumoji_transfer_saved_bytes_total")).toBe(40);
  });
});

describe("the pool's state", () => {
  const state: PoolState = {
    queues: [
      { queue: "convert", jobs: { waiting: 3 }, oldestWaitingSeconds: 7, isPaused: false, workers: 2 },
    ],
    pausedFor: null,
    webhooksPending: 2,
    webhooksDead: 1,
    oldestWebhookSeconds: 30,
    liveVolumes: 4,
    unreadableVolumes: 1,
    oldestVolumeSeconds: 9,
    redisUsedBytes: 10,
    redisLimitBytes: 0,
    tenants: [
      { tenant: "a", waiting: 3, running: 1 },
      { tenant: "other", waiting: 0, running: 0 },
      // Tenants may be called so.
      { tenant: "other", waiting: 2, running: 0 },
    ],
  };

  it("is read once for each scrape", async () => {
    const metrics = fresh();
    let reads = 0;
    metrics.showPool(async () => {
      reads += 1;
      return await Promise.resolve(state);
    });
    const scrape = await text(metrics);
    expect(reads).toBe(1);
    expect(scrape).toContain('mirumoji_queue_jobs{queue="convert",state="waiting"} 3');
    expect(scrape).toContain('mirumoji_tenant_jobs{tenant="a",state="waiting"} 3');
    expect(scrape).toContain('mirumoji_tenant_jobs{tenant="other",state="waiting"} 2');
    expect(scrape).toContain("mirumoji_live_volumes 4");
    expect(scrape).toContain("mirumoji_redis_up 1");
    await text(metrics);
    expect(reads).toBe(2);
  });

  it("is left out, and said so, when Redis does not answer in time; nobody asks twice meanwhile", async () => {
    const metrics = fresh();
    const stuck: ((found: PoolState) => void)[] = [];
    let isStuck = false;
    metrics.showPool(
      async () =>
        await (isStuck ? new Promise<PoolState>((resolve) => stuck.push(resolve)) : Promise.resolve(state)),
    );
    await text(metrics);
    isStuck = true;
    const startedAt = Date.now();
    const scrapes = await Promise.all([text(metrics), text(metrics)]);
    expect(Date.now() - startedAt).toBeLessThan(4000);
    expect(stuck).toHaveLength(1);
    for (const scrape of scrapes) {
      expect(scrape).toContain("mirumoji_redis_up 0");
      expect(scrape).not.toMatch(/^mirumoji_(queue_jobs|workers|live_volumes|redis_memory\w+)[{ ]/mu);
    }
    stuck[0]?.(state);
    isStuck = false;
    expect(await text(metrics)).toContain("mirumoji_redis_up 1");
  });
});

describe("prices", () => {
  const modal = { MODAL_SERVER_URL: "https://api.modal.com", MIRUMOJI_MODAL_GPU: ["L4"] };

  it("are Modal's list prices with their day, unless others are set", () => {
    expect(pricedGpu(modal)).toEqual({ gpu: "L4", asOf: LIST_PRICES.asOf, usdPerSecond: 0.7992 / 3600 });
    const prices = parseGpuPrices("2027-01-01:L4=3.6,own=0.36");
    if (prices === null) throw new Error("not read");
    expect(pricedGpu({ ...modal, MIRUMOJI_GPU_PRICES: prices })).toEqual({
      gpu: "L4",
      asOf: "2027-01-01",
      usdPerSecond: 0.001,
    });
    const own = { ...modal, MODAL_SERVER_URL: "http://127.0.0.1:5000" };
    expect(pricedGpu(own)).toMatchObject({ gpu: "own", usdPerSecond: 0 });
    expect(pricedGpu({ ...own, MIRUMOJI_GPU_PRICES: prices }).usdPerSecond).toBeCloseTo(0.0001);
    expect(pricedGpu({ ...modal, MIRUMOJI_MODAL_GPU: ["Z9"] }).usdPerSecond).toBeNull();
  });

  it.each(["", "A10G=1", "2026-13-45:A10G=1", "2026-05-07:", "2026-05-07:A10G=-1"])("refuses %j", (bad) => {
    expect(parseGpuPrices(bad)).toBeNull();
  });
});
