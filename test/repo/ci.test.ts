import { describe, expect, it } from "vitest";
import { sandbox } from "../helpers/repo/sandbox.ts";

const PASSED = { status: "passed" };

/** Runs `.ci/run` with an npm that writes the given report and fails in the given script. */
function ci(files: readonly object[] | null, failing: string) {
  const isRed = JSON.stringify(files).includes("failed");
  const report = files === null ? "" : JSON.stringify({ success: !isRed, testResults: files });
  const box = sandbox([".ci/run"], {
    "bin/npm": [
      "#!/bin/sh",
      `if [ "$1" = test ] && [ -n '${report}' ]; then mkdir -p test-results; echo '${report}' >test-results/ci.json; fi`,
      `case "$*" in *"${failing}"*) exit 1 ;; esac`,
    ].join("\n"),
    // A report of an earlier run must not be counted.
    "test-results/ci.json": JSON.stringify({ success: true, testResults: [file("passed", [PASSED])] }),
  });
  box.run("chmod", ["+x", "bin/npm"]);
  return box.run("./.ci/run", [], { PATH: `${box.folder}/bin:${process.env["PATH"]}` });
}

function file(status: "passed" | "failed", assertionResults: readonly { status: string }[]) {
  return { status, assertionResults };
}

describe(".ci/run", () => {
  it("ends with the count when everything passed", () => {
    const { status, stdout } = ci([file("passed", [PASSED, PASSED, { status: "pending" }])], "nothing");
    expect(status).toBe(0);
    expect(stdout).toMatch(/\nall gates passed\ntests: 2 passed, 0 failed, 1 skipped\n$/);
  });

  it("runs the other gates when one failed, names it and fails", () => {
    const { status, stdout } = ci([file("passed", [PASSED])], "run lint");
    expect(status).toBe(1);
    expect(stdout).toContain("=== passed: generated files");
    expect(stdout).toMatch(/\nfailed: lint\ntests: 1 passed, 0 failed, 0 skipped\n$/);
  });

  it("counts a file that does not load as a failure", () => {
    const { status, stdout } = ci([file("passed", [PASSED]), file("failed", [])], "test ");
    expect(status).toBe(1);
    expect(stdout).toMatch(/\nfailed: tests\ntests: 1 passed, 1 failed, 0 skipped\n$/);
  });

  it.each([
    ["the tests did not run", null],
    ["the run failed although no test did", [file("passed", [PASSED])]],
  ])("prints no count when %s", (_, files) => {
    const { status, stdout } = ci(files, "test ");
    expect(status).toBe(1);
    expect(stdout).not.toContain("tests: ");
  });
});
