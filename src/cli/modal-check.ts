import { type Command, InvalidArgumentError } from "commander";
import { fileURLToPath } from "node:url";
import { openSession } from "../compose/modal.ts";
import { type Learnt, runCanary, type StepReport } from "../modal/index.ts";
import { clientEnvironment } from "./dev-session.ts";
import { untilInterrupted } from "./interrupt.ts";
import { guarded, note, print, printJson } from "./output.ts";

const HANDLER_PATH = fileURLToPath(new URL("../../container/canary.py", import.meta.url));
const DEFAULT_IMAGE = "docker.io/library/python:3.11-slim-bookworm";
const MARKS = { passed: "ok  ", failed: "FAIL", skipped: "skip" } as const;

interface Flags {
  image: string;
  wait: number;
  json?: boolean;
}

export function addModal(program: Command): void {
  program
    .command("modal")
    .description("look at the Modal server (or GPU host) that the settings name")
    .command("check")
    .description(
      "walk the path of a job on a throw-away app, on the CPU; exit code 0 only when all of it works",
    )
    .option("--image <reference>", "container image with a python", DEFAULT_IMAGE)
    .option("--wait <seconds>", "longest wait for one call, cold start included", parseSeconds, 600)
    .option("--json", "one JSON document on stdout")
    .action(guarded(({ json }: Flags) => json === true, check));
}

async function check({ image, wait, json }: Flags): Promise<void> {
  const { environment } = clientEnvironment();
  const session = openSession(environment, { onWarning: note });
  const show = json === true ? undefined : (step: StepReport) => print(line(step));
  const { ok, steps } = await runCanary(
    { session, image, handlerPath: HANDLER_PATH, callWaitMs: wait * 1000, signal: untilInterrupted() },
    show,
  );
  session.close();
  if (json === true) printJson({ ok, serverUrl: environment.MODAL_SERVER_URL, steps });
  if (!ok) {
    for (const { name, error } of steps) if (error !== null) note(`${name}: ${error.code}: ${error.message}`);
    process.exitCode = 1;
  }
}

function line({ name, status, ms, learnt, error }: StepReport): string {
  const took = status === "skipped" ? "" : `${(ms / 1000).toFixed(2)} s`;
  const detail = error === null ? facts(learnt) : error.code;
  return `${MARKS[status]}  ${name.padEnd(15)} ${took.padStart(8)}  ${detail}`.trimEnd();
}

function facts(learnt: Learnt): string {
  return Object.entries(learnt)
    .map(([name, value]) => `${name}: ${value}`)
    .join(" · ");
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!Number.isFinite(seconds) || seconds < 1 || seconds > 3600)
    throw new InvalidArgumentError("must be 1 to 3600");
  return seconds;
}
