import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { testFolder } from "../../support/folder.ts";
import { root } from "../helpers/repo/sandbox.ts";
import { hasProgram } from "../helpers/telemetry/prometheus.ts";

const isThere = hasProgram("promtool", "the tests of alert rules");
const read = (path: string) => readFileSync(`${root}/${path}`, "utf8");
const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name ?? "");

function promtool(...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync("promtool", args, { cwd: root, encoding: "utf8" });
  return { status, output: `${stdout}${stderr}` };
}

describe("alerts", () => {
  const alerts = all(read("prometheus/alerts.yml"), /- alert: (\w+)/gu);

  it.runIf(isThere)("are valid rules, and the configuration that loads them is", () => {
    const rules = promtool("check", "rules", "--lint=all", "--lint-fatal", "prometheus/alerts.yml");
    expect(rules).toMatchObject({
      status: 0,
      output: expect.stringContaining(`${alerts.length} rules found`),
    });
    expect(promtool("check", "config", "prometheus/prometheus.yml")).toMatchObject({ status: 0 });
  });

  it.runIf(isThere)("fire when they should and not when they should not", () => {
    const tested = promtool("test", "rules", "prometheus/tests/alerts.test.yml");
    expect(tested).toMatchObject({ status: 0, output: expect.stringContaining("SUCCESS") });
  });

  it.runIf(isThere)("see a job that is hardly ever in hand, by what its worker's scrapes show", async () => {
    let now = 0;
    const gpu = { gpu: "A10G", asOf: "2026-05-07", usdPerSecond: 0.001 };
    const metrics = createMetrics({ version: "1.2.3", gpu, now: () => now });
    metrics.showSlots({ jobs: { transcribe: 1, convert: 1 }, transfers: 1 }, () => 1);
    const job = { jobId: "j1", type: "convert", state: "undo" } as const;
    const name = 'mirumoji_state_oldest_age_seconds{type="convert",state="undo"}';
    const values: number[] = [];
    for (; now < 60 * 60_000; now += 60_000) {
      // A try fails at once, and no scrape meets one.
      metrics.subscriber("job.started", { ...job, waitedMs: 0, resumedAt: "undo", inStateMs: now });
      const delay = { attempt: 1, delayMs: 60_000, code: "MODAL_UNAVAILABLE" } as const;
      metrics.subscriber("job.delayed", { ...job, ...delay });
      now += 30_000;
      const line = (await metrics.registry.metrics()).split("\n").find((one) => one.startsWith(name)) ?? "";
      now -= 30_000;
      values.push(Number(line.slice(name.length)));
    }
    expect(values.slice(0, 3)).toEqual([30, 90, 150]);
    await using folder = await testFolder();
    const series = { series: name, values: values.join(" ") };
    const test = (eval_time: string, exp_alerts: unknown[]) => ({
      eval_time,
      alertname: "MirumojiStateStuck",
      exp_alerts,
    });
    const summary = "A convert job has been in undo for 35m 30s.";
    const fires = {
      exp_labels: { severity: "warning", type: "convert", state: "undo" },
      exp_annotations: { summary, runbook_url: "/docs/operations#mirumojistatestuck" },
    };
    const rules = {
      rule_files: [`${root}/prometheus/alerts.yml`],
      tests: [
        { interval: "1m", input_series: [series], alert_rule_test: [test("25m", []), test("35m", [fires])] },
      ],
    };
    const file = join(folder.path, "stuck.json");
    await writeFile(file, JSON.stringify(rules));
    expect(promtool("test", "rules", file)).toMatchObject({ status: 0 });
  });

  it("are each tested firing and not firing", () => {
    const tests = read("prometheus/tests/alerts.test.yml");
    for (const alert of alerts) {
      const quiet = new RegExp(`alertname: ${alert}, exp_alerts: \\[\\]`, "u");
      const firing = new RegExp(`alertname: ${alert}\\n\\s+exp_alerts:\\n`, "u");
      expect({ alert, quiet: quiet.test(tests), firing: firing.test(tests) }).toEqual({
        alert,
        quiet: true,
        firing: true,
      });
    }
  });

  it("each have a section of the runbook, and link to it", () => {
    const rules = read("prometheus/alerts.yml");
    const sections = all(read("docs/operations.md"), /^### (Mirumoji\w+)$/gmu);
    expect(sections).toEqual(alerts);
    expect(all(rules, /runbook_url: \/docs\/operations#(\w+)/gu)).toEqual(
      alerts.map((alert) => alert.toLowerCase()),
    );
  });

  it("are the only ones that panels link to", () => {
    const dashboards = ["overview", "states", "gpu", "transfers", "health"];
    const linked = dashboards.flatMap((name) =>
      all(read(`grafana/dashboards/${name}.json`), /\/docs\/operations#(\w+)/gu),
    );
    const known = alerts.map((alert) => alert.toLowerCase());
    expect(linked.filter((anchor) => !known.includes(anchor))).toEqual([]);
  });
});
