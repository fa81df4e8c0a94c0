import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
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
