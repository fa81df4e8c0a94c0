import { readdirSync, readFileSync } from "node:fs";

/** Linux counts processor time in hundredths of a second, whatever the kernel ticks with. */
const TICKS_PER_SECOND = 100;

/** Processor seconds of another process since its start: its own, and of its children that have ended. */
export interface ProcessCpu {
  readonly own: number;
  readonly children: number;
}

/** Reads `/proc`, so this is for Linux. @throws node's ENOENT when the process is gone */
export function processCpu(pid: number): ProcessCpu {
  return read(`/proc/${pid}/stat`);
}

/** Processor seconds of each thread of another process, by the thread's number. */
export function threadsCpu(pid: number): ReadonlyMap<string, number> {
  const threads = readdirSync(`/proc/${pid}/task`);
  return new Map(threads.map((thread) => [thread, read(`/proc/${pid}/task/${thread}/stat`).own]));
}

function read(file: string): ProcessCpu {
  const text = readFileSync(file, "utf8");
  // The second field is the program's name in brackets and may hold blanks; counting starts behind it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const seconds = (field: number) => Number(fields[field - 3]) / TICKS_PER_SECOND;
  return { own: seconds(14) + seconds(15), children: seconds(16) + seconds(17) };
}

/** Processor time of the busiest thread between two samples. */
export function busiestBetween(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): number {
  return Math.max(...[...after].map(([thread, seconds]) => seconds - (before.get(thread) ?? 0)));
}

/** Processor time of a process between two samples. */
export function cpuBetween(before: ProcessCpu, after: ProcessCpu): ProcessCpu {
  return { own: after.own - before.own, children: after.children - before.children };
}
