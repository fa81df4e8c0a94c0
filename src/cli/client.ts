import { tracingSettings } from "../config/tracing.ts";
import { VERSION } from "../config/version.ts";
import { openRedisClient, type RedisClient } from "../queue/redis-client.ts";
import { openTracing } from "../telemetry/tracing.ts";
import { clientEnvironment } from "./dev-session.ts";
import { note } from "./output.ts";

/**
 * Opens a connection for commands that change jobs. The command shows in the job's trace when tracing is on.
 *
 * @throws MirumojiError `CONFIG_INVALID`, `REDIS_UNAVAILABLE`
 */
export async function openClient(): Promise<RedisClient> {
  const { environment } = clientEnvironment();
  const tracing = await openTracing(tracingSettings(environment), {
    role: "client",
    version: VERSION,
    onProblem: note,
  });
  return await openRedisClient(environment, tracing);
}
