import type { Environment } from "./schema.ts";

/** The values of this environment that must not turn up anywhere: in no log, on no page. */
export function secretValues(
  environment: Pick<Environment, "MODAL_TOKEN_SECRET" | "MODAL_TOKEN_ID" | "BOARD_USERS" | "REDIS_URL">,
): string[] {
  const { MODAL_TOKEN_SECRET, MODAL_TOKEN_ID, BOARD_USERS, REDIS_URL } = environment;
  const passwords = (BOARD_USERS ?? "").split(",").map((pair) => pair.slice(pair.indexOf(":") + 1));
  const redisPassword = new URL(REDIS_URL).password;
  return [
    MODAL_TOKEN_SECRET ?? "",
    MODAL_TOKEN_ID ?? "",
    ...passwords,
    redisPassword,
    decodeURIComponent(redisPassword),
  ].filter((value) => value !== "");
}
