import type { FastifyInstance } from "fastify";

/** Named checks; each returns null when all is well, else the problem. */
export type HealthChecks = Readonly<Record<string, () => Promise<string | null>>>;

const CHECK_TIMEOUT_MS = 3000;

/** `/livez`: the event loop turns. `/readyz`: every check passes; each one is named with what is wrong. */
export function addHealth(server: FastifyInstance, checks: HealthChecks): void {
  server.get("/livez", () => ({ ok: true }));
  server.get("/readyz", async (_request, reply) => {
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await withTimeout(check)] as const),
    );
    const ok = results.every(([, problem]) => problem === null);
    return await reply.code(ok ? 200 : 503).send({ ok, checks: Object.fromEntries(results) });
  });
}

async function withTimeout(check: () => Promise<string | null>): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve("gave no answer in time"), CHECK_TIMEOUT_MS);
  });
  try {
    return await Promise.race([check().catch(String), late]);
  } finally {
    clearTimeout(timer);
  }
}
