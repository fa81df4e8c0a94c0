/** Number of threads in which Node does its file work, name lookups for the network included, unless told otherwise. */
const DEFAULT_THREADS = 4;

/** Number of those threads in this process; Node reads the variable when it starts. */
export function fileThreads(): number {
  const threads = Number(process.env["UV_THREADPOOL_SIZE"] ?? DEFAULT_THREADS);
  return Number.isInteger(threads) && threads > 0 ? threads : DEFAULT_THREADS;
}
