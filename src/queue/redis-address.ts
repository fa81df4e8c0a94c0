import type { ClusterNode, RedisOptions } from "ioredis";
import { MirumojiError } from "../job/errors.ts";
import type { NodeOptions } from "./patient-redis.ts";

/** A Redis as ioredis wants it described. */
export type RedisAddress =
  | { readonly kind: "single"; readonly options: Omit<RedisOptions, "replyMapping"> }
  | { readonly kind: "cluster"; readonly nodes: ClusterNode[]; readonly options: NodeOptions };

const FORM = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/]*)@)?([^/?@]+)(?:\/([^?]*))?(?:\?(.*))?$/u;
const HOST = /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/iu;
const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;

/**
 * Reads an address in one of these forms; `rediss` in the place of `redis` stands for TLS:
 *
 * - `redis://user:password@host:port/database`
 * - `redis+sentinel://user:password@host:port,host:port/primary?db=0&sentinelUsername=name&sentinelPassword=secret`
 * - `redis+cluster://user:password@host:port,host:port`
 *
 * @param ca - certificates of authorities, as PEM, in the place of those that Node knows
 * @throws MirumojiError `CONFIG_INVALID`
 */
export function redisAddress(url: string, ca?: string): RedisAddress {
  const [, scheme, kind, login = "", hosts = "", path = "", query] = FORM.exec(url) ?? [];
  if (scheme === undefined) throw invalid("must look like redis://host:6379");
  const parameters = new URLSearchParams(query);
  const isEncrypted = scheme === "rediss";
  const tls = ca === undefined ? {} : { ca };
  const [username = "", ...password] = login.split(":");
  const options: NodeOptions = {
    ...(username === "" ? {} : { username: decodeURIComponent(username) }),
    ...(password.length === 0 ? {} : { password: decodeURIComponent(password.join(":")) }),
    ...(isEncrypted ? { tls } : {}),
  };
  const nodes = hosts
    .split(",")
    .map((host) => hostOf(host, kind === "sentinel" ? SENTINEL_PORT : REDIS_PORT));
  switch (kind) {
    case "cluster":
      if (databaseOf(path) !== 0) throw invalid("names a database, and a cluster has only one");
      return { kind, nodes, options };
    case "sentinel":
      if (path === "") throw invalid("lacks the name of the primary: redis+sentinel://host:26379/mymaster");
      return {
        kind: "single",
        options: {
          ...options,
          db: databaseOf(parameters.get("db") ?? ""),
          name: decodeURIComponent(path),
          sentinels: nodes,
          ...sentinelLogin(parameters),
          ...(isEncrypted ? { enableTLSForSentinelMode: true, sentinelTLS: tls } : {}),
        },
      };
    default: {
      const [node, ...others] = nodes;
      if (node === undefined || others.length > 0) {
        throw invalid("names several hosts; say redis+sentinel:// or redis+cluster://");
      }
      return { kind: "single", options: { ...options, ...node, db: databaseOf(path) } };
    }
  }
}

function sentinelLogin(
  parameters: URLSearchParams,
): Pick<RedisOptions, "sentinelUsername" | "sentinelPassword"> {
  const sentinelUsername = parameters.get("sentinelUsername");
  const sentinelPassword = parameters.get("sentinelPassword");
  return {
    ...(sentinelUsername === null ? {} : { sentinelUsername }),
    ...(sentinelPassword === null ? {} : { sentinelPassword }),
  };
}

function hostOf(text: string, defaultPort: number): { host: string; port: number } {
  const [, six, name, port] = HOST.exec(text) ?? [];
  const host = six ?? name;
  if (host === undefined) throw invalid("names a host that cannot be read");
  return { host, port: port === undefined ? defaultPort : Number(port) };
}

function databaseOf(text: string): number {
  if (!/^\d{0,5}$/u.test(text)) throw invalid("names a database that is no number");
  return Number(text);
}

/** The address may hold a password, so it is not shown. */
function invalid(why: string): MirumojiError {
  return new MirumojiError("CONFIG_INVALID", `REDIS_URL ${why}`);
}
