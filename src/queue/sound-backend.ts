import { type BackendFactory, createRedisBackend, type RedisQueueBackend } from "bullmq";
import type { Redis } from "ioredis";
import { type FieldRepair, repaired, soundFields } from "./job-fields.ts";
import type { TellUnreadable } from "./unreadable.ts";

/** BullMQ's commands whose answer begins with the fields of a job that it takes. */
const TAKING = new Set(["moveToActive", "moveToFinished", "moveToDelayed"]);

/** Place of the finished job's ID among the arguments of `moveToFinished`, behind its keys. */
const FINISHED_ID = 14;

/** BullMQ's own access to Redis, except that a job which it could not read is repaired first. */
export function soundBackend(redis: Redis, onUnreadable: TellUnreadable): BackendFactory<RedisQueueBackend> {
  return (name, opts, extra) => {
    const backend = createRedisBackend(name, opts, extra);
    const run = backend.execCommand.bind(backend);
    const sound = async (taken: unknown): Promise<unknown> => {
      if (!isTaken(taken)) return taken;
      const [fields, jobId, ...rest] = taken;
      const raw = objectOf(fields);
      const repair = soundFields(raw, { now: Date.now() });
      if (repair === null) return taken;
      onUnreadable("job", jobId);
      await write(redis, backend.toKey(jobId), repair);
      return [Object.entries(repaired(raw, repair)).flat(), jobId, ...rest];
    };
    const isOver = async (jobId: string): Promise<boolean> => {
      const scores = await Promise.all(
        ["completed", "failed"].map(async (set) => await redis.zscore(backend.toKey(set), jobId)),
      );
      return scores.some((score) => score !== null);
    };
    const repairTaken = async (): Promise<void> => {
      for (const jobId of await redis.lrange(backend.toKey("active"), 0, -1)) {
        if (await repairJob(redis, backend.toKey(jobId)).catch(() => false)) onUnreadable("job", jobId);
      }
    };
    backend.execCommand = (client, command, args: unknown[]): unknown => {
      const answer: unknown = run(client, command, args);
      if (!TAKING.has(command) || !(answer instanceof Promise)) return answer;
      return (answer as Promise<unknown>).then(sound, async (error: unknown) => {
        // The script stopped in the middle: the job is taken, and nobody has it. Sound, it comes back with its lease.
        if (!isScriptError(error)) throw error;
        await repairTaken();
        const isFinished = command === "moveToFinished" && (await isOver(String(args[FINISHED_ID])));
        if (!isFinished) throw error;
        return undefined;
      });
    };
    const read = backend.getJobData.bind(backend);
    backend.getJobData = async (jobId) => {
      try {
        return await read(jobId);
      } catch (error) {
        if (!(await repairJob(redis, backend.toKey(jobId)))) throw error;
        onUnreadable("job", jobId);
        return await read(jobId);
      }
    };
    return backend;
  };
}

/** Repairs a job where it lies; false when nothing was wrong with it. */
export async function repairJob(
  redis: Redis,
  jobKey: string,
  how: { readonly isStalled?: boolean } = {},
): Promise<boolean> {
  const raw = await redis.hgetall(jobKey);
  const repair = Object.keys(raw).length === 0 ? null : soundFields(raw, { now: Date.now(), ...how });
  if (repair !== null) await write(redis, jobKey, repair);
  return repair !== null;
}

async function write(redis: Redis, jobKey: string, { set, remove }: FieldRepair): Promise<void> {
  if (Object.keys(set).length > 0) await redis.hset(jobKey, set);
  if (remove.length > 0) await redis.hdel(jobKey, ...remove);
}

/** Whether Redis refused a value in the middle of a script. */
function isScriptError(error: unknown): boolean {
  return (
    error instanceof Error &&
    /^(?:WRONGTYPE|ERR .*(?:not an integer|not a valid float|script))/u.test(error.message)
  );
}

function isTaken(answer: unknown): answer is [fields: string[], jobId: string, ...rest: unknown[]] {
  return Array.isArray(answer) && Array.isArray(answer[0]) && typeof answer[1] === "string";
}

function objectOf(flat: readonly string[]): Record<string, string> {
  const pairs = Array.from({ length: flat.length / 2 }, (_, n) => [flat[2 * n] ?? "", flat[2 * n + 1] ?? ""]);
  return Object.fromEntries(pairs) as Record<string, string>;
}
