import { readFileSync } from "node:fs";

/** Linux counts processor time in hundredths of a second, whatever the kernel ticks with. */
const TICKS_PER_SECOND = 100;

/** Processor seconds of another process since its start: its own, and of its children that have ended. */
export interface ProcessCpu {
  readonly own: number;
  readonly children: number;
}

/** Reads `/proc`, so this is for Linux. @throws node's ENOENT when the process is gone */
export function processCpu(pid: number): ProcessCpu {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the program's name in brackets and may hold blanks; counting starts behind it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const seconds = (field: number) => Number(fields[field - 3]) / TICKS_PER_SECOND;
  return { own: seconds(14) + seconds(15), children: seconds(16) + seconds(17) };
}

/** What a process spent between two looks. */
export function cpuBetween(before: ProcessCpu, after: ProcessCpu): ProcessCpu {
  return { own: after.own - before.own, children: after.children - before.children };
}
