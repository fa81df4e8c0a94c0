/** The commands of BullMQ's workers that carry this machine's time into Redis. */
const TIMED: ReadonlySet<string> = new Set(["moveToActive", "moveToFinished", "moveStalledJobsToWait"]);
/** Times and other numbers among the values of a command differ by more than this. */
const SAME_TIME_MS = 1000;

/** The part of BullMQ's access to Redis that is used. */
interface Backend {
  execCommand(client: unknown, command: string, args: unknown[]): unknown;
  waitForJob(timeout: number): Promise<{ score: number } | null | undefined>;
}

/**
 * Lets BullMQ's worker use the pool's clock in the place of this machine's: by it jobs that wait for their next try are
 * due, and the times are written that others read. The worker itself waits by its own clock, so that times which come
 * back are translated.
 */
export function keepPoolTime(access: object, now: () => number): void {
  const backend = access as Backend;
  const execute = backend.execCommand.bind(backend);
  const wait = backend.waitForJob.bind(backend);
  const local = (time: number) => (time > 0 ? time - now() + Date.now() : time);
  backend.execCommand = async (client, command, args) => {
    if (!TIMED.has(command)) return await execute(client, command, args);
    const isNow = (value: unknown) =>
      typeof value === "number" && Math.abs(value - Date.now()) < SAME_TIME_MS;
    const answer = await execute(
      client,
      command,
      args.map((value) => (isNow(value) ? now() : value)),
    );
    // Next job, its ID, the time of a rate limit, and when the next delayed job is due.
    if (Array.isArray(answer) && typeof answer[3] === "number") answer[3] = local(answer[3]);
    return answer;
  };
  backend.waitForJob = async (timeout) => {
    const marker = await wait(timeout);
    return marker && { ...marker, score: local(marker.score) };
  };
}
