import type { Environment } from "../config/schema.ts";
import { type Deployment, deployModal, type ModalSession, registrationOptions } from "../modal/index.ts";
import { connectClientRedis } from "../queue/connection.ts";
import { createAppShare } from "../queue/app-share.ts";
import { redisClock } from "../queue/redis-clock.ts";
import { HANDLER_PATH, openSession } from "./modal.ts";

/**
 * Deploys the functions as a worker in mode `deployed` would.
 *
 * @throws MirumojiError `CONFIG_INVALID`, `REDIS_UNAVAILABLE`, `IMAGE_BUILD_FAILED`, `MODAL_*`
 */
export async function deployFunctions(
  environment: Environment,
  { force, onLog }: { readonly force: boolean; readonly onLog: (line: string) => void },
): Promise<Deployment> {
  const redis = await connectClientRedis(environment);
  let session: ModalSession | undefined;
  try {
    const clock = redisClock(redis);
    await clock.ready();
    session = openSession(environment, { onWarning: onLog });
    return await deployModal(session, {
      ...registrationOptions(environment, { handlerPath: HANDLER_PATH, onLog }),
      share: createAppShare(redis, {
        prefix: environment.MIRUMOJI_QUEUE_PREFIX,
        leaseMs: environment.MIRUMOJI_LEASE * 1000,
        now: () => clock.now(),
      }),
      force,
    });
  } finally {
    session?.close();
    redis.disconnect();
  }
}
