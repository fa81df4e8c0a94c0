import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { startHost, undoAll } from "../helpers/gpu-host/host.ts";
import { pythonWithSdk, runPythonSdk } from "../../support/python-sdk.ts";

afterEach(undoAll);

const sdk = await pythonWithSdk();
if ("missing" in sdk) console.warn(`The official Python SDK is not checked. ${sdk.missing}`);

/** Runs one of the script's checks against a host and gives what it found. */
async function check(name: string): Promise<unknown> {
  const host = await startHost();
  const script = fileURLToPath(new URL("../helpers/gpu-host/fixtures/python_sdk/check.py", import.meta.url));
  const stdout = await runPythonSdk(sdk, host, [script, name]);
  expect(host.stats()).toMatchObject({ calls: { running: 0 }, apps: { live: 0 } });
  return JSON.parse(stdout);
}

describe.skipIf("missing" in sdk)("the official Python SDK", { timeout: 120_000 }, () => {
  const MIB = 1024 * 1024;

  for (const name of ["volume-2", "volume-default"]) {
    test(`moves files with ${name}`, async () => {
      expect(await check(name)).toEqual({
        listed: [
          ["dir/block", 8 * MIB],
          ["dir/block-and-one", 8 * MIB + 1],
          ["dir/empty", 0],
          ["dir/one", 14],
          ["dir/replaced", 8],
          ["dir/zeros", 10 * MIB + 1010],
        ],
        everywhere: [
          "dir",
          "dir/block",
          "dir/block-and-one",
          "dir/empty",
          "dir/replaced",
          "dir/zeros",
          "local",
        ],
        readBack: true,
        local: true,
        refused: "FileExistsError",
        missing: "FileNotFoundError",
      });
    });
  }

  test("runs, spawns, finds again and cancels functions", async () => {
    const found = (await check("calls")) as { cancelSeconds: number };

    expect(found).toMatchObject({
      remote: { value: 3, suffix: "", kind: "int" },
      bigArgument: 3 * MIB,
      spawned: { value: { a: [1, 2] }, suffix: "é", kind: "dict" },
      sizeOf: 9 * MIB,
      failure: "RemoteError: ValueError('no such luck')",
      fromElsewhere: "awake",
      waiting: "TimeoutError",
      cancelled: "RemoteError",
    });
    expect(found.cancelSeconds).toBeLessThan(3);
  });
});
