import { execFile } from "node:child_process";
import { delimiter, dirname } from "node:path";
import { promisify } from "node:util";
import { handlerEnvironment } from "../config/child-environment.ts";
import { type SpeechEngine, speechEnginesSchema } from "../job/speech-engines.ts";
import { HANDLER_PATH } from "./modal.ts";

const run = promisify(execFile);
/** Loading a speech library for the first time takes seconds. */
const TIMEOUT_MS = 60_000;

/** Finds the speech engines of this machine, for a model or else for the one of the environment. Rejects when Python cannot tell. */
export async function inspectEngines(model: string | null = null): Promise<SpeechEngine[]> {
  const base = handlerEnvironment({ PYTHONDONTWRITEBYTECODE: "1" });
  const path = [dirname(HANDLER_PATH), ...(base["PYTHONPATH"] === undefined ? [] : [base["PYTHONPATH"]])];
  const { stdout } = await run("python3", ["-m", "mirumoji_gpu.report", ...(model === null ? [] : [model])], {
    timeout: TIMEOUT_MS,
    env: { ...base, PYTHONPATH: path.join(delimiter) },
  });
  return speechEnginesSchema.parse(JSON.parse(stdout));
}
