import { pythonWithSdk } from "../support/python-sdk.ts";
import { shown, type Spread, spreadOf } from "./rounds.ts";
import { type ClientName, CLIENTS, type Direction, type Found, openBench } from "./transfers-rig.ts";

export interface TransferRow {
  readonly content: string;
  readonly direction: Direction;
  readonly client: ClientName;
  readonly megabytesPerSecond: Spread;
  /** Processor seconds of the client per gigabyte. */
  readonly cpuPerGigabyte: Spread;
  readonly hostCpuPerGigabyte: Spread;
  /** Processor seconds of the GPU host's busiest thread. At 1, it could not exceed 1 GB/s. */
  readonly hostThreadPerGigabyte: Spread;
  readonly peakMebibytes: Spread;
  readonly loopDelayP99Ms: Spread | null;
}

export interface Transfers {
  readonly rows: readonly TransferRow[];
  /** Of ours, for the content of random bytes: against the Python SDK and against the floor. */
  readonly targets: readonly {
    readonly direction: Direction;
    readonly timesPython: number | null;
    readonly shareOfPythonCpu: number | null;
    readonly shareOfTheFloor: number;
  }[];
  readonly skipped: string | null;
}

/** Uploads and downloads of the same files to the same GPU host, by turns. `bytes`: of the large files. */
export async function measureTransfers({
  rounds,
  bytes,
}: {
  readonly rounds: number;
  readonly bytes: number;
}): Promise<Transfers> {
  await using bench = await openBench();
  const contents = [
    await bench.content("random", 1, bytes, "random"),
    await bench.content("zeros", 1, bytes, "zeros"),
    await bench.content("100 files of 1 MiB", 100, 2 ** 20, "random"),
  ];
  const python = await pythonWithSdk();
  const measured = new Map<
    string,
    { row: Pick<TransferRow, "content" | "direction" | "client">; found: Found[] }
  >();
  const clients = CLIENTS.filter((client) => client !== "Python SDK" || "python" in python);
  const ways = contents.flatMap((content) =>
    clients.flatMap((client) =>
      (["upload", "download"] as const)
        .filter((direction) => client !== "sha256" || direction === "upload")
        .map((direction) => ({ content, client, direction })),
    ),
  );
  for (let round = 0; round < rounds; round++) {
    // The order alternates.
    const first = round * 2;
    for (const { content, client, direction } of [...ways.slice(first), ...ways.slice(0, first)]) {
      const found = await bench.run(client, direction, content, python);
      const key = [content.name, direction, client].join(" ");
      const entry = measured.get(key) ?? { row: { content: content.name, direction, client }, found: [] };
      entry.found.push(found);
      measured.set(key, entry);
    }
  }
  const rows = [...measured.values()].map(({ row, found }) => rowOf(row, found));
  return { rows, targets: targetsOf(rows), skipped: "missing" in python ? python.missing : null };
}

/** One 10 GiB transfer each way and ten of 1 GiB at once, and the memory of the process meanwhile. */
export async function measureMemory({ gibibytes }: { readonly gibibytes: number }) {
  await using bench = await openBench();
  const one = await bench.content(`one file of ${gibibytes} GiB`, 1, gibibytes * 2 ** 30, "random");
  const many = await bench.content(`${gibibytes} files of 1 GiB at once`, gibibytes, 2 ** 30, "random");
  const rows: Record<string, string | number>[] = [];
  const overTime: Record<string, readonly (readonly [number, number])[]> = {};
  for (const content of [one, many]) {
    const volumeId = await bench.newVolume();
    for (const direction of ["upload", "download"] as const) {
      const { answer } = await bench.once("ours", direction, volumeId, content);
      const { seconds, peakBytes, loopDelayP99Ms = 0, memory = [] } = answer;
      rows.push({
        content: content.name,
        direction,
        "MB/s": Math.round(content.bytes / 1e6 / seconds),
        "peak MiB": Math.round(peakBytes / 2 ** 20),
        "event loop p99 ms": Number(loopDelayP99Ms.toFixed(1)),
      });
      overTime[`${content.name}, ${direction}`] = tenOf(memory);
    }
    await bench.remove(volumeId);
  }
  return { rows, overTime };
}

/** Ten moments of a series, as seconds and MiB. */
function tenOf(memory: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const step = Math.max(1, Math.floor(memory.length / 10));
  return memory
    .filter((_, index) => index % step === 0)
    .map(([ms, bytes]) => [Math.round(ms / 1000), Math.round(bytes / 2 ** 20)] as const);
}

/** For people. */
export function transfersTable({ rows }: Transfers): Record<string, string | number>[] {
  return rows.map((row) => ({
    content: row.content,
    direction: row.direction,
    client: row.client,
    "MB/s": shown(row.megabytesPerSecond),
    "client CPU s/GB": shown(row.cpuPerGigabyte),
    "GPU host CPU s/GB": shown(row.hostCpuPerGigabyte),
    "its busiest thread s/GB": shown(row.hostThreadPerGigabyte),
    "peak MiB": shown(row.peakMebibytes),
    "event loop p99 ms": row.loopDelayP99Ms === null ? "" : shown(row.loopDelayP99Ms),
  }));
}

function rowOf(
  row: Pick<TransferRow, "content" | "direction" | "client">,
  found: readonly Found[],
): TransferRow {
  const perGigabyte = (pick: (one: Found) => number) =>
    spreadOf(found.map((one) => pick(one) / (one.bytes / 1e9)));
  const delays = found.flatMap(({ answer }) => answer.loopDelayP99Ms ?? []);
  return {
    ...row,
    megabytesPerSecond: spreadOf(found.map(({ answer, bytes }) => bytes / 1e6 / answer.seconds)),
    cpuPerGigabyte: perGigabyte(({ answer }) => answer.cpuSeconds),
    hostCpuPerGigabyte: perGigabyte(({ hostCpuSeconds }) => hostCpuSeconds),
    hostThreadPerGigabyte: perGigabyte(({ hostThreadSeconds }) => hostThreadSeconds),
    peakMebibytes: spreadOf(found.map(({ answer }) => answer.peakBytes / 2 ** 20)),
    loopDelayP99Ms: delays.length === 0 ? null : spreadOf(delays),
  };
}

function targetsOf(rows: readonly TransferRow[]): Transfers["targets"] {
  return (["upload", "download"] as const).flatMap((direction) => {
    const find = (client: ClientName) =>
      rows.find((row) => row.content === "random" && row.direction === direction && row.client === client);
    const [ours, floor, python] = [find("ours"), find("floor"), find("Python SDK")];
    if (ours === undefined || floor === undefined) return [];
    const ratio = (one: Spread, other: Spread) => Number((one.median / other.median).toFixed(2));
    return {
      direction,
      timesPython: python === undefined ? null : ratio(ours.megabytesPerSecond, python.megabytesPerSecond),
      shareOfPythonCpu: python === undefined ? null : ratio(ours.cpuPerGigabyte, python.cpuPerGigabyte),
      shareOfTheFloor: ratio(ours.megabytesPerSecond, floor.megabytesPerSecond),
    };
  });
}
