import type { Command } from "commander";
import { z } from "zod";
import { processEnvironment } from "../config/load.ts";
import { guarded, print, printJson } from "./output.ts";

const TIMEOUT_MS = 5000;
const answerSchema = z.object({
  ok: z.boolean(),
  checks: z.record(z.string(), z.string().nullable()).optional(),
});

interface HealthOptions {
  json?: boolean;
  live?: boolean;
  url?: string;
}

export function addHealth(program: Command): void {
  program
    .command("health")
    .description(
      "ask a worker or API on this machine how it is; exit code 0 when all is well (for containers)",
    )
    .option("--live", "only whether the process answers, not whether it can work")
    .option("--url <url>", "where to ask; default: MIRUMOJI_HTTP_PORT on this machine")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: HealthOptions) => json === true,
        async ({ json, live, url }: HealthOptions) => {
          const base = url ?? `http://127.0.0.1:${processEnvironment().MIRUMOJI_HTTP_PORT}`;
          const answer = await ask(new URL(live === true ? "/livez" : "/readyz", base));
          if (json === true) printJson(answer);
          else print(describe(answer));
          if (!answer.ok) process.exitCode = 1;
        },
      ),
    );
}

async function ask(url: URL): Promise<z.output<typeof answerSchema>> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return answerSchema.parse(await response.json());
  } catch (error) {
    return { ok: false, checks: { http: `nothing of ours answers at ${url.href} (${String(error)})` } };
  }
}

function describe({ ok, checks = {} }: z.output<typeof answerSchema>): string {
  const lines = Object.entries(checks).map(([name, problem]) => `${name.padEnd(10)} ${problem ?? "ok"}`);
  return [ok ? "well" : "not well", ...lines].join("\n");
}
