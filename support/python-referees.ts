import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Programs of PyPI that judge the HTTP API from outside. */
const PACKAGES = ["schemathesis==4.32.5", "openai>=2", "bullmq>=3", "httpx>=0.27", "mypy>=1.10"];

/** A folder of programs, or the reason why there is none. */
export type Referees = { readonly bin: string } | { readonly missing: string };

/** Installs them on first use on a machine; where PyPI cannot be reached, tests skip with the reason. */
export async function pythonReferees(): Promise<Referees> {
  const environment = join(tmpdir(), "mirumoji-http-referees");
  const bin = join(environment, "bin");
  if (existsSync(join(bin, "schemathesis"))) return { bin };
  // Built under another name, because a second test file may be installing it as well.
  const own = `${environment}.${process.pid}`;
  try {
    await run("python3", ["-m", "venv", "--clear", own]);
    const quiet = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
    await run(join(own, "bin", "python"), ["-m", "pip", "install", ...quiet, ...PACKAGES], {
      timeout: 180_000,
    });
    await rename(own, environment).catch(() => undefined);
    // Programs name the Python of the folder that they were installed in.
    await run(join(bin, "python3"), ["-m", "pip", "--version"]);
    return { bin };
  } catch (error) {
    return { missing: `PyPI: ${String(error).slice(0, 200)}` };
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}
