import basicAuth from "@fastify/basic-auth";
import { createHash, timingSafeEqual } from "node:crypto";
import { isIPv4 } from "node:net";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { loginLimit } from "./login-limit.ts";

/** Reason for refusing a login: it is wrong, or too many wrong ones came before it. */
export type LoginFailure = "wrong" | "limited";

/**
 * Requires HTTP basic authentication; `users` are `name:password` pairs separated by commas. After ten wrong logins in
 * a minute an address gets 429 until the minute is over; a login that was accepted before stays accepted.
 */
export async function requireLogin(
  server: FastifyInstance,
  users: string,
  onFailure: (failure: LoginFailure) => void,
): Promise<void> {
  const known = users.split(",").map((pair) => digest(pair));
  const limit = loginLimit(() => performance.now());
  const seenRight = new Set<string>();
  await server.register(basicAuth, {
    authenticate: { realm: "mirumoji-worker" },
    validate: async (name, password, request, reply) => {
      const given = digest(`${name}:${password}`);
      const blockedMs = seenRight.has(given.toString("hex")) ? 0 : limit.blockedMs(request.ip);
      if (blockedMs > 0) {
        onFailure("limited");
        throw tooMany(reply, blockedMs);
      }
      // Compares every pair, so that timing reveals nothing.
      const matches = known.filter((pair) => timingSafeEqual(pair, given));
      await Promise.resolve();
      if (matches.length > 0) {
        seenRight.add(given.toString("hex"));
        return;
      }
      limit.refused(request.ip);
      onFailure("wrong");
      throw new Error("wrong name or password");
    },
  });
  server.addHook("onRequest", server.basicAuth);
}

function tooMany(reply: FastifyReply, blockedMs: number): Error {
  const seconds = Math.ceil(blockedMs / 1000);
  reply.header("retry-after", seconds);
  return Object.assign(new Error(`too many wrong logins; try again in ${seconds} s`), { statusCode: 429 });
}

/**
 * Without a login, serves this machine only, and only under a loopback name: a web page could otherwise point
 * a name of its own at 127.0.0.1 (DNS rebinding).
 */
export function requireLocalName(server: FastifyInstance): void {
  server.addHook("onRequest", async (request, reply) => {
    if (isLoopback(hostnameOf(request))) return;
    await reply.code(403).send({ error: { message: "without BOARD_USERS, only localhost is answered" } });
  });
}

/** Browsers send the login with requests of any page, so only our own pages may change anything (CSRF). */
export function requireSameOrigin(server: FastifyInstance): void {
  server.addHook("onRequest", async (request, reply) => {
    if (["GET", "HEAD"].includes(request.method) || isOurPage(request)) return;
    await reply.code(403).send({ error: { message: "a request from another site was refused" } });
  });
}

/** Tells whether an address is reachable from this machine only. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

function isOurPage({ headers }: FastifyRequest): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site === "same-origin" || site === "none";
  // Requests with neither header come from other programs, which have no stored login to abuse.
  if (headers.origin === undefined) return true;
  return URL.canParse(headers.origin) && new URL(headers.origin).host === headers.host;
}

function hostnameOf({ headers }: FastifyRequest): string {
  const url = `http://${headers.host ?? ""}`;
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/gu, "") : "";
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
