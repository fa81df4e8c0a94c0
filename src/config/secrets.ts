import type { Environment } from "./schema.ts";

/** Secret values of this environment, which must appear in no log and on no page. */
export function secretValues(
  environment: Pick<Environment, "MODAL_TOKEN_SECRET" | "MODAL_TOKEN_ID" | "BOARD_USERS" | "REDIS_URL"> &
    Partial<Pick<Environment, "OTEL_EXPORTER_OTLP_HEADERS" | "MIRUMOJI_S3_CONNECTIONS" | "MIRUMOJI_LLM_KEY">>,
): string[] {
  const { MODAL_TOKEN_SECRET, MODAL_TOKEN_ID, BOARD_USERS, REDIS_URL, OTEL_EXPORTER_OTLP_HEADERS } =
    environment;
  const headers = (OTEL_EXPORTER_OTLP_HEADERS ?? "")
    .split(",")
    .map((pair) => pair.slice(pair.indexOf("=") + 1));
  const passwords = (BOARD_USERS ?? "").split(",").map((pair) => pair.slice(pair.indexOf(":") + 1));
  const [, redisPassword = ""] = /\/\/[^@/:]*:([^@/]*)@/u.exec(REDIS_URL) ?? [];
  const sentinelPassword = new URLSearchParams(REDIS_URL.split("?")[1]).get("sentinelPassword") ?? "";
  const stores = Object.values(environment.MIRUMOJI_S3_CONNECTIONS ?? {});
  return [
    ...stores.flatMap(({ secretAccessKey = "", sessionToken = "" }) => [secretAccessKey, sessionToken]),
    MODAL_TOKEN_SECRET ?? "",
    MODAL_TOKEN_ID ?? "",
    environment.MIRUMOJI_LLM_KEY ?? "",
    ...passwords,
    ...headers,
    redisPassword,
    sentinelPassword,
    decodeURIComponent(redisPassword),
  ].filter((value) => value !== "");
}
