import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { adapterAttempts } from "../helpers/gpu-host/conformance/adapter.ts";
import { jsSdkAttempts } from "../helpers/gpu-host/conformance/js-sdk.ts";
import { conformanceTable, type Outcomes, tryAll } from "../helpers/gpu-host/conformance/operations.ts";
import { startHost, temporaryDirectory, undoAll } from "../helpers/gpu-host/host.ts";
import {
  newestSdk,
  PYTHON_SDKS,
  type PythonSdkVersion,
  pythonWithSdk,
  runPythonSdk,
} from "../../support/python-sdk.ts";
import { CLIENT_MOUNT_VERSION } from "../../src/modal/apps/versions.ts";

afterEach(undoAll);

const recorded = JSON.parse(
  readFileSync(new URL("../helpers/gpu-host/conformance/recorded.json", import.meta.url), "utf8"),
) as Record<string, Outcomes>;
/** Tries the operations and shows how they went, as a table that goes into the page. */
describe("operations of the job path", { timeout: 120_000 }, () => {
  const found: Parameters<typeof conformanceTable>[0] = {};

  test("by the official JS SDK", async () => {
    found["JS SDK 0.11.1"] = await tryAll(await jsSdkAttempts(await startHost()));
    expect(found["JS SDK 0.11.1"]).toEqual(recorded["JS SDK 0.11.1"]);
  });

  test("by our adapter", async () => {
    found["mirumoji-worker"] = await tryAll(
      await adapterAttempts(await startHost(), await temporaryDirectory()),
    );
    expect(found["mirumoji-worker"]).toEqual(recorded["mirumoji-worker"]);
  });

  async function pythonOutcomes(version: PythonSdkVersion): Promise<Outcomes | undefined> {
    const sdk = await pythonWithSdk(version);
    if ("missing" in sdk) {
      process.stderr.write(`The Python SDK ${version} was skipped: ${sdk.missing}\n`);
      return undefined;
    }
    const host = await startHost();
    const results: object[] = [];
    for (const name of ["conformance.py", "conformance_scripts.py"]) {
      const script = new URL(`../helpers/gpu-host/fixtures/python_sdk/${name}`, import.meta.url);
      results.push(JSON.parse(await runPythonSdk(sdk, host, [fileURLToPath(script)])) as object);
    }
    return Object.assign({}, ...results) as Outcomes;
  }

  test("by the official Python SDK in every version, side by side because most of it is waiting", async () => {
    const outcomes = await Promise.all(PYTHON_SDKS.map(async (version) => await pythonOutcomes(version)));
    for (const [index, version] of PYTHON_SDKS.entries()) {
      const tried = outcomes[index];
      if (tried === undefined) continue;
      found[`Python SDK ${version}`] = tried;
      expect.soft(tried).toEqual(recorded[`Python SDK ${version}`]);
    }
  });

  test("as a table", () => {
    process.stderr.write(`\n${conformanceTable(found)}\n`);
    expect(conformanceTable(found)).not.toContain("no: ");
  });

  test("by the versions that count: the pinned one, and it is said when PyPI has a newer one", async () => {
    expect(PYTHON_SDKS[0]).toBe(CLIENT_MOUNT_VERSION);
    const sdk = await pythonWithSdk();
    const newest = "missing" in sdk ? undefined : await newestSdk(sdk);
    if (newest !== undefined && !(PYTHON_SDKS as readonly string[]).includes(newest)) {
      process.stderr.write(
        `The conformance table is behind: PyPI has modal ${newest}. Add it to support/python-sdk.ts.\n`,
      );
    }
  });
});
