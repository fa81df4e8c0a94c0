import { statfs } from "node:fs/promises";
import prettyBytes from "pretty-bytes";
import type { Services } from "../services.ts";
import { type Route, sendJson } from "./server.ts";

/** Below this a result may not fit any more. */
const LEAST_FREE_BYTES = 256 * 1024 ** 2;

/** Probes, for everybody: they name engines and models, and no path. */
export function healthRoutes({ engines, state }: Services): Route[] {
  const readiness = async (): Promise<{ status: number; body: object }> => {
    const found = await engines.of(null);
    const checks = { engine: engineTrouble(found), disk: await diskTrouble(state.paths.volumes) };
    const ok = Object.values(checks).every((problem) => problem === null);
    const shown = found?.map(({ engine, model, isUsable }) => ({ engine, model, isUsable })) ?? null;
    return { status: ok ? 200 : 503, body: { ok, checks, engines: shown } };
  };
  const get = (path: string, answer: () => Promise<{ status: number; body: object }>): Route => ({
    method: "GET",
    path,
    private: false,
    handle: async (exchange) => {
      const { status, body } = await answer();
      await sendJson(exchange, status, body);
    },
  });
  return [
    get("/livez", async () => await Promise.resolve({ status: 200, body: { ok: true } })),
    get("/readyz", readiness),
  ];
}

/** Says why transcriptions that name no model would fail; conversions need no engine. */
function engineTrouble(engines: Awaited<ReturnType<Services["engines"]["of"]>>): string | null {
  if (engines === null) return "the speech engines cannot be asked; the log says why";
  const [best] = engines;
  if (best === undefined) return "no speech engine was found; `mirumoji-worker doctor` says more";
  if (best.isUsable) return null;
  return `${best.engine} cannot use the model ${best.model}; \`mirumoji-worker doctor\` says why`;
}

async function diskTrouble(folder: string): Promise<string | null> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  return free < LEAST_FREE_BYTES ? `only ${prettyBytes(free)} are free` : null;
}
