import type { Environment } from "../config/schema.ts";
import { identify, modalCalls, modalVolumes } from "../modal/index.ts";
import { findLeftovers, type Leftover, reap } from "../pool/reaper.ts";
import { toMirumojiError } from "../job/errors.ts";
import { checkPlatform } from "../queue/platform-claim.ts";
import { openRedisClient } from "../queue/redis-client.ts";
import { openSession } from "./modal.ts";

/**
 * Finds what nobody owns any more, and removes it unless it is a dry run.
 *
 * @throws MirumojiError `CONFIG_INVALID`, `REDIS_UNAVAILABLE`, `PREFIX_IN_USE`
 */
export async function reapLeftovers(
  environment: Environment,
  options: { dryRun: boolean; onProblem: (words: string) => void },
): Promise<Leftover[]> {
  const session = openSession(environment, {});
  await using client = await openRedisClient(environment);
  try {
    for (const volumeId of (await client.ledger.read()).unreadable) {
      options.onProblem(`${volumeId}: its entry in the ledger cannot be read; it is kept alive`);
    }
    const leftovers = await findLeftovers(client.ledger, (error, what) =>
      options.onProblem(`${what}: ${toMirumojiError(error).message}`),
    );
    if (options.dryRun) return leftovers;
    const platform = await identify(session, environment.MODAL_SERVER_URL);
    if (platform !== null)
      await checkPlatform(client.source.redis, environment.MIRUMOJI_QUEUE_PREFIX, platform);
    const tools = {
      ledger: client.ledger,
      volumes: modalVolumes(session),
      calls: modalCalls(session),
      signal: new AbortController().signal,
    };
    return await reap(tools, leftovers);
  } finally {
    session.close();
  }
}
