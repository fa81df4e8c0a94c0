import basicAuth from "@fastify/basic-auth";
import { createHash, timingSafeEqual } from "node:crypto";
import { isIPv4 } from "node:net";
import type { FastifyInstance, FastifyRequest } from "fastify";

/** Asks for a name and a password; `users` are `name:password` pairs with commas. */
export async function requireLogin(server: FastifyInstance, users: string): Promise<void> {
  const known = users.split(",").map((pair) => digest(pair));
  await server.register(basicAuth, {
    authenticate: { realm: "mirumoji-worker" },
    validate: async (name, password) => {
      const given = digest(`${name}:${password}`);
      // Every pair is compared, so that the time tells nothing.
      const matches = known.filter((pair) => timingSafeEqual(pair, given));
      await Promise.resolve();
      if (matches.length === 0) throw new Error("wrong name or password");
    },
  });
  server.addHook("onRequest", server.basicAuth);
}

/**
 * Without a login, only this machine is served, and by its own name: a page somewhere on the web could
 * otherwise point a name of its own at 127.0.0.1 and read along.
 */
export function requireLocalName(server: FastifyInstance): void {
  server.addHook("onRequest", async (request, reply) => {
    if (isLoopback(hostnameOf(request))) return;
    await reply.code(403).send({ error: { message: "without BOARD_USERS, only localhost is answered" } });
  });
}

/** A browser sends the login along with whatever page asks for it: only our own pages may change anything. */
export function requireSameOrigin(server: FastifyInstance): void {
  server.addHook("onRequest", async (request, reply) => {
    if (["GET", "HEAD"].includes(request.method) || isOurPage(request)) return;
    await reply.code(403).send({ error: { message: "a request from another site was refused" } });
  });
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

function isOurPage({ headers }: FastifyRequest): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site === "same-origin" || site === "none";
  // No browser sends neither; other programs have no login of somebody else's to misuse.
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
