import type { Command } from "commander";
import { z } from "zod";
import { checkModal } from "../compose/check-modal.ts";
import { processEnvironment } from "../config/load.ts";
import type { Environment } from "../config/schema.ts";
import { toMirumojiError } from "../job/errors.ts";
import { guarded, print, printJson } from "./output.ts";

const TIMEOUT_MS = 5000;
const answerSchema = z.object({
  ok: z.boolean(),
  checks: z.record(z.string(), z.string().nullable()).optional(),
});

type Answer = z.output<typeof answerSchema>;

interface HealthOptions {
  json?: boolean;
  live?: boolean;
  modal?: boolean;
  url?: string;
}

export function addHealth(program: Command): void {
  program
    .command("health")
    .description(
      "ask a worker or API on this machine how it is; exit code 0 when all is well (for containers)",
    )
    .option("--live", "only whether the process answers, not whether it can work")
    .option("--modal", "ask the Modal server or GPU host of MODAL_SERVER_URL instead")
    .option("--url <url>", "where to ask; default: MIRUMOJI_HTTP_PORT on this machine")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: HealthOptions) => json === true,
        async ({ json, live, modal, url }: HealthOptions) => {
          const environment = processEnvironment();
          const base = url ?? `http://127.0.0.1:${environment.MIRUMOJI_HTTP_PORT}`;
          const answer =
            modal === true
              ? await askModal(environment)
              : await ask(new URL(live === true ? "/livez" : "/readyz", base));
          if (json === true) printJson(answer);
          else print(describe(answer));
          // The Modal SDK cannot close its channel, and an open channel keeps the process alive.
          process.exit(answer.ok ? 0 : 1);
        },
      ),
    );
}

async function askModal(environment: Environment): Promise<Answer> {
  try {
    await checkModal(environment);
    return { ok: true, checks: { modal: null } };
  } catch (error) {
    return { ok: false, checks: { modal: toMirumojiError(error).message } };
  }
}

async function ask(url: URL): Promise<Answer> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return answerSchema.parse(await response.json());
  } catch (error) {
    return { ok: false, checks: { http: `nothing of ours answers at ${url.href} (${String(error)})` } };
  }
}

function describe({ ok, checks = {} }: Answer): string {
  const lines = Object.entries(checks).map(([name, problem]) => `${name.padEnd(10)} ${problem ?? "ok"}`);
  return [ok ? "well" : "not well", ...lines].join("\n");
}
