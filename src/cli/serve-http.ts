import { isSet } from "../config/load.ts";
import { type HttpServer, type HttpSettings, type Served, startHttp } from "../http/server.ts";
import { MirumojiError } from "../job/errors.ts";
import { hasErrno } from "../media/errno.ts";
import type { Logger } from "../telemetry/logger.ts";

/**
 * Serves the HTTP port. A port that somebody else has is no reason not to start: a second worker on this machine takes
 * a free one and says so, unless the port was asked for.
 *
 * @throws MirumojiError `CONFIG_INVALID`
 */
export async function serveHttp(
  settings: HttpSettings,
  served: Served,
  logger: Pick<Logger, "warn">,
): Promise<HttpServer> {
  try {
    return await startHttp(settings, served);
  } catch (error) {
    const isTaken = error instanceof MirumojiError && hasErrno(error.cause, "EADDRINUSE");
    if (!isTaken || isSet("MIRUMOJI_HTTP_PORT")) throw error;
    const http = await startHttp({ ...settings, port: 0 }, served);
    logger.warn(
      { apiUrl: http.apiUrl },
      `port ${settings.port} is taken, so a free one serves health and metrics; MIRUMOJI_HTTP_PORT sets one`,
    );
    return http;
  }
}
