import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { detailOf } from "../../src/cli/progress-view.ts";
import { parseProgressLine } from "../../src/runner/call-follower.ts";
import { transferReporter } from "../../src/steps/transfer-progress.ts";
import type { StepProgress } from "../../src/job/summary.ts";

describe("parseProgressLine", () => {
  it("reads the handler's lines and nothing else", () => {
    expect(parseProgressLine('MIRUMOJI {"stage":"convert","fraction":0.25}')).toEqual({
      stage: "convert",
      fraction: 0.25,
    });
    expect(parseProgressLine('MIRUMOJI {"stage":"convert","fraction":7}')).toBeNull();
    expect(parseProgressLine("MIRUMOJI {")).toBeNull();
    expect(parseProgressLine("frame=1 fps=20")).toBeNull();
  });

  it("survives any line", () => {
    fc.assert(
      fc.property(fc.string(), (line) => {
        parseProgressLine(line);
        parseProgressLine(`MIRUMOJI {${line}}`);
      }),
    );
  });
});

describe("transferReporter", () => {
  it("tells bytes, rate and time left", () => {
    let now = 0;
    const reports: StepProgress[] = [];
    const report = transferReporter(
      (progress) => reports.push(progress),
      () => now,
    );
    now = 2000;
    report({ doneBytes: 20, totalBytes: 100 });
    expect(reports).toEqual([
      { doneBytes: 20, totalBytes: 100, bytesPerSecond: 10, fraction: 0.2, etaSeconds: 8 },
    ]);
    expect(detailOf(reports[0] ?? null, 2000)).toBe("20 B of 100 B, 10 B/s, 8 s left");
  });

  it("counts an empty file as done", () => {
    const reports: StepProgress[] = [];
    transferReporter(
      (progress) => reports.push(progress),
      () => 0,
    )({ doneBytes: 0, totalBytes: 0 });
    expect(reports[0]?.fraction).toBe(1);
  });
});
