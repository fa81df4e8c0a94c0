import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { GpuHost } from "../src/gpu-host/host.ts";

/** Versions that docs/conformance.md is about: the pinned one of src/modal/apps/versions.ts, and the newest of each series. */
export const PYTHON_SDKS = ["1.5.4", "1.5.5", "1.6.4"] as const;
export type PythonSdkVersion = (typeof PYTHON_SDKS)[number];

const run = promisify(execFile);

/** Python with the official SDK, or the reason why there is none. */
export type PythonWithSdk = { readonly python: string } | { readonly missing: string };

/** Installs it on first use on a machine; where PyPI cannot be reached, tests skip with the reason. */
export async function pythonWithSdk(version: PythonSdkVersion = PYTHON_SDKS[0]): Promise<PythonWithSdk> {
  const environment = join(tmpdir(), `gpu-host-python-sdk-${version}`);
  const python = join(environment, "bin", "python");
  if (existsSync(python) && (await isReady(python))) return { python };
  // Built under another name, because a second test file may be installing it as well.
  const own = `${environment}.${process.pid}`;
  try {
    await run("python3", ["-m", "venv", "--clear", own]);
    const quiet = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
    const install = ["-m", "pip", "install", ...quiet, `modal==${version}`];
    await run(join(own, "bin", "python"), install, { timeout: 180_000 });
    if (!(await isReady(python))) await rm(environment, { recursive: true, force: true });
    await rename(own, environment).catch(() => undefined);
    return (await isReady(python)) ? { python } : { missing: `${environment} cannot be used` };
  } catch (error) {
    return { missing: `modal==${version} cannot be installed from PyPI: ${String(error).slice(0, 200)}` };
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

async function isReady(python: string): Promise<boolean> {
  return await run(python, ["-c", "import modal"]).then(
    () => true,
    () => false,
  );
}

/** Runs a script of the official SDK as a client of a host; gives what it printed. */
export async function runPythonSdk(sdk: PythonWithSdk, host: GpuHost, args: string[]): Promise<string> {
  const { stdout } = await run("python" in sdk ? sdk.python : "python3", ["-B", ...args], {
    env: {
      PATH: process.env["PATH"],
      MODAL_SERVER_URL: host.serverUrl,
      MODAL_TOKEN_ID: host.tokenId,
      MODAL_TOKEN_SECRET: host.tokenSecret,
      MODAL_CONFIG_PATH: "/nonexistent",
    },
  });
  return stdout;
}

/** The newest version that PyPI has; undefined where that cannot be told. */
export async function newestSdk({ python }: { readonly python: string }): Promise<string | undefined> {
  const ask = ["-m", "pip", "index", "versions", "modal", "--disable-pip-version-check", "--timeout", "15"];
  const { stdout } = await run(python, ask).catch(() => ({ stdout: "" }));
  return /^modal \((\S+)\)/.exec(stdout)?.[1];
}
