import { openApiDocument } from "../../src/http/v1/api.ts";
import type { ApiServices } from "../../src/http/v1/services.ts";
import { connectRedis } from "../../src/queue/connection.ts";

/** The HTTP API's document. Its routes are described and never called, so that nothing stands behind them. */
export async function openApiFile(): Promise<string> {
  const redis = connectRedis("redis://127.0.0.1:6379");
  const services = { limits: { redis, namespace: "" }, maxUploadBytes: 1, mediaRoot: null } as ApiServices;
  return `${JSON.stringify(await openApiDocument(services), null, 2)}\n`;
}
