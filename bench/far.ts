import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { modalVolumes, openModalSession } from "../src/modal/index.ts";
import { PYTHON_SDKS, pythonWithSdk } from "../support/python-sdk.ts";
import { inNamespace, openFarHost, whyNoLink } from "./far-link.ts";
import { measureSmallJobs, type SmallJobRow } from "./far-small.ts";
import { rounded } from "./rounds.ts";
import { type Answer, type Direction, makeFile, runClient } from "./transfers-rig.ts";

/** Set in the process that runs in the namespace; Python with the SDK, or nothing where it is missing. */
const INSIDE = "MIRUMOJI_BENCH_FAR_PYTHON";
const RUN = fileURLToPath(new URL("./run.ts", import.meta.url));

export interface FarRow {
  readonly client: "ours" | "Python SDK";
  readonly rttMs: number;
  readonly direction: Direction;
  /** Median of the rounds. */
  readonly mbPerSecond: number;
  /** The highest of the rounds. */
  readonly peakMebibytes: number;
  /** Largest part of a second for which the event loop stood still, as its 99th percentile. */
  readonly loopDelayP99Ms?: number;
}

export interface Far {
  readonly bytes: number;
  readonly rows: readonly FarRow[];
  readonly smallJobs: readonly SmallJobRow[];
}

const options = {
  json: { type: "boolean" },
  mib: { type: "string", default: "1024" },
  rounds: { type: "string", default: "3" },
  rtt: { type: "string", default: "0,40,80,180" },
  jobs: { type: "string", default: "10" },
  "job-rtt": { type: "string", default: "100" },
} as const;

const numbers = (list: string): number[] => list.split(",").filter(Boolean).map(Number);

/**
 * Transfers and small jobs over a link with delay, by our client and the official one. The first process makes a
 * network namespace and runs itself there, so that nothing of this machine's network is touched.
 *
 * @returns null when the figures were printed by the process in the namespace
 */
export async function measureFar(argv: readonly string[]): Promise<Far | null> {
  const { values } = parseArgs({ args: [...argv], options });
  const python = process.env[INSIDE];
  if (python === undefined) {
    const why = whyNoLink();
    if (why !== null) throw new Error(`far: this machine cannot have a link with delay: ${why}`);
    const found = await pythonWithSdk(PYTHON_SDKS.at(-1));
    if ("missing" in found) say(`the Python SDK is skipped: ${found.missing}`);
    const sdk = "python" in found ? found.python : "";
    const again = [process.execPath, ...process.execArgv, RUN, "far", ...argv];
    process.exitCode = await inNamespace(again, { ...process.env, [INSIDE]: sdk });
    return null;
  }
  process.env["MIRUMOJI_LOGGING_LEVEL"] ??= "error";
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-bench-"));
  const bytes = Number(values.mib) * 2 ** 20;
  const rounds = Number(values.rounds);
  try {
    const local = join(folder, "film");
    await makeFile(local, bytes, "random");
    const rows: FarRow[] = [];
    for (const rttMs of numbers(values.rtt)) {
      const data = join(folder, `host-${rttMs}`);
      rows.push(...(await measureTransfersAt({ rttMs, data, local, bytes, rounds, python })));
      await rm(data, { recursive: true, force: true });
    }
    const smallJobs: SmallJobRow[] = [];
    for (const rttMs of numbers(values["job-rtt"])) {
      const own = join(folder, `jobs-${rttMs}`);
      await mkdir(own);
      smallJobs.push(
        ...(await measureSmallJobs({ rttMs, folder: own, jobs: Number(values.jobs), python, say })),
      );
    }
    return { bytes, rows, smallJobs };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureTransfersAt({
  rttMs,
  data,
  local,
  bytes,
  rounds,
  python,
}: {
  readonly rttMs: number;
  readonly data: string;
  readonly local: string;
  readonly bytes: number;
  readonly rounds: number;
  readonly python: string;
}): Promise<FarRow[]> {
  const host = await openFarHost(rttMs, data);
  const session = openModalSession(host);
  const volumes = modalVolumes(session);
  const { signal } = new AbortController();
  const clients = (["ours", "Python SDK"] as const).filter((client) => client === "ours" || python !== "");
  const found = new Map<string, { row: Pick<FarRow, "client" | "direction">; answers: Answer[] }>();
  try {
    for (let round = 0; round < rounds; round++) {
      // The order alternates.
      for (const client of round % 2 === 0 ? clients : clients.toReversed()) {
        const { volumeId } = await volumes.create({ signal });
        for (const direction of ["upload", "download"] as const) {
          const files = [{ local, remote: "film" }];
          const answer = await runClient(host, { client, direction, volumeId, files }, python);
          const entry = found.get(`${client} ${direction}`) ?? { row: { client, direction }, answers: [] };
          entry.answers.push(answer);
          found.set(`${client} ${direction}`, entry);
          say(`${rttMs} ms, ${client}, ${direction}: ${rounded(bytes / 1e6 / answer.seconds)} MB/s`);
        }
        await rm(`${local}.back`, { force: true });
        await volumes.delete({ volumeId, signal });
      }
    }
  } finally {
    session.close();
    await host.close();
  }
  return [...found.values()].map(({ row, answers }) => {
    const delays = answers.flatMap(({ loopDelayP99Ms }) => loopDelayP99Ms ?? []);
    return {
      ...row,
      rttMs,
      mbPerSecond: rounded(median(answers.map(({ seconds }) => bytes / 1e6 / seconds))),
      peakMebibytes: rounded(Math.max(...answers.map(({ peakBytes }) => peakBytes / 2 ** 20))),
      ...(delays.length === 0 ? {} : { loopDelayP99Ms: rounded(Math.max(...delays)) }),
    };
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return ((sorted[Math.ceil(half) - 1] ?? 0) + (sorted[Math.floor(half)] ?? 0)) / 2;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
