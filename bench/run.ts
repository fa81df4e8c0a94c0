import { loadavg } from "node:os";
import { measureCalls } from "./calls.ts";
import { measureCancelLatency } from "./cancel-latency.ts";
import { fairnessTable, fairnessValues, measureFairness } from "./fairness.ts";
import { measurePipeline, pipelineTable } from "./pipeline.ts";
import { measureCrowd } from "./crowd.ts";
import { measureFilm } from "./film.ts";
import { measureFar } from "./far.ts";
import { measureFollowers } from "./followers.ts";
import { measureQueue, queueTable } from "./queue.ts";
import { measureRoundTrips } from "./round-trips.ts";
import { table } from "./rounds.ts";
import { measureSoak, soakTable } from "./soak.ts";
import { measureMemory, measureTransfers, transfersTable } from "./transfers.ts";

/** Result of a benchmark, with rows where it has a table. */
interface Found {
  readonly rows?: readonly Record<string, string | number>[];
  readonly values: Readonly<Record<string, unknown>>;
}

/** The benchmarks by name; each gives what is printed, as a table and as JSON; null when it is printed. */
const BENCHMARKS: Record<string, () => Promise<Found | null>> = {
  cancel: async () => ({ values: await measureCancelLatency(200) }),
  calls: async () => ({ values: { ...(await measureCalls(1000, 60_000)) } }),
  "round-trips": async () => ({ values: { ...(await measureRoundTrips(500)) } }),
  transfers: async () => {
    const found = await measureTransfers({ rounds: 3, bytes: 2 ** 30 });
    return { rows: transfersTable(found), values: { ...found } };
  },
  memory: async () => {
    const { rows, overTime } = await measureMemory({ gibibytes: 10 });
    return { rows, values: { rows, overTime } };
  },
  pipeline: async () => {
    const found = await measurePipeline({
      rounds: 5,
      ours: { 1: 50, 100: 200 },
      sdk: { 1: 20, 100: 60 },
    });
    return { rows: pipelineTable(found), values: { ...found } };
  },
  far: async () => {
    const found = await measureFar(process.argv.slice(3));
    if (found === null) return null;
    return { rows: found.rows.map((row) => ({ ...row })), values: { ...found } };
  },
  soak: async () => {
    const found = await measureSoak({ jobs: Number(process.argv[3] ?? 30_000), pieces: 15 });
    return { rows: soakTable(found), values: { ...found } };
  },
  crowd: async () => ({ values: { ...(await measureCrowd(Number(process.argv[3] ?? 100))) } }),
  fairness: async () => {
    const found = await measureFairness(Number(process.argv[3] ?? 21), 1000);
    return { rows: fairnessTable(found), values: fairnessValues(found) };
  },
  film: async () => {
    const rows = await measureFilm({ seconds: 7200, containers: [1, 10], killedSeconds: 3600 });
    return { rows, values: { rows } };
  },
  followers: async () => {
    const [jobs, ofAll] = [Number(process.argv[3] ?? 2000), Number(process.argv[4] ?? 20)];
    return { values: { ...(await measureFollowers({ jobs, ofAll })) } };
  },
  queue: async () => {
    const found = await measureQueue({ rounds: 5, jobs: 1000, waiting: [1000, 100_000] });
    return { rows: queueTable(found), values: { ...found } };
  },
};

const name = process.argv[2] ?? "";
const benchmark = BENCHMARKS[name];
if (benchmark === undefined) {
  process.stderr.write(`which one? ${Object.keys(BENCHMARKS).join(", ")}\n`);
  process.exitCode = 1;
} else {
  const loadBefore = loadavg()[0];
  const found = await benchmark();
  if (found !== null) print(found, loadBefore);
}

/** Prints a table for people and one JSON document. */
function print({ rows, values }: Found, loadBefore: number | undefined): void {
  if (rows !== undefined && rows.length > 0) process.stderr.write(`${table(rows)}\n\n`);
  for (const [key, value] of Object.entries(values)) {
    // The rows are in the table already.
    if (key !== "rows") process.stderr.write(`${key.padEnd(24)} ${JSON.stringify(value)}\n`);
  }
  const load = { before: loadBefore, after: loadavg()[0] };
  process.stderr.write(`${"load of the machine".padEnd(24)} ${JSON.stringify(load)}\n`);
  process.stdout.write(`${JSON.stringify({ benchmark: name, load, ...values })}\n`);
}
