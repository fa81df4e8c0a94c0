import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { adapterAttempts } from "../helpers/gpu-host/conformance/adapter.ts";
import { jsSdkAttempts } from "../helpers/gpu-host/conformance/js-sdk.ts";
import { conformanceTable, type Outcomes, tryAll } from "../helpers/gpu-host/conformance/operations.ts";
import { startHost, temporaryDirectory, undoAll } from "../helpers/gpu-host/host.ts";
import { pythonWithSdk, runPythonSdk } from "../../support/python-sdk.ts";

afterEach(undoAll);

const recorded = JSON.parse(
  readFileSync(new URL("../helpers/gpu-host/conformance/recorded.json", import.meta.url), "utf8"),
) as Record<string, Outcomes>;
const sdk = await pythonWithSdk();

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

  test.skipIf("missing" in sdk)("by the official Python SDK", async () => {
    const host = await startHost();
    const script = fileURLToPath(
      new URL("../helpers/gpu-host/fixtures/python_sdk/conformance.py", import.meta.url),
    );
    found["Python SDK 1.5.4"] = JSON.parse(await runPythonSdk(sdk, host, [script])) as Outcomes;
    expect(found["Python SDK 1.5.4"]).toEqual(recorded["Python SDK 1.5.4"]);
  });

  test("as a table", () => {
    process.stderr.write(`\n${conformanceTable(found)}\n`);
    if ("missing" in sdk) process.stderr.write(`The Python SDK was skipped: ${sdk.missing}\n`);
    expect(conformanceTable(found)).not.toContain("no: ");
  });
});
