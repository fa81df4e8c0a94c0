import { measureCalls } from "./calls.ts";
import { measureCancelLatency } from "./cancel-latency.ts";
import { measureRoundTrips } from "./round-trips.ts";

/** The benchmarks by name; each gives what is printed, as a table and as JSON. */
const BENCHMARKS: Record<string, () => Promise<Record<string, unknown>>> = {
  cancel: async () => await measureCancelLatency(200),
  calls: async () => ({ ...(await measureCalls(500, 60_000)) }),
  "round-trips": async () => ({ ...(await measureRoundTrips(500)) }),
};

const name = process.argv[2] ?? "";
const benchmark = BENCHMARKS[name];
if (benchmark === undefined) {
  process.stderr.write(`which one? ${Object.keys(BENCHMARKS).join(", ")}\n`);
  process.exitCode = 1;
} else {
  const result = await benchmark();
  for (const [key, value] of Object.entries(result)) {
    process.stderr.write(`${key.padEnd(24)} ${JSON.stringify(value)}\n`);
  }
  process.stdout.write(`${JSON.stringify({ benchmark: name, ...result })}\n`);
}
