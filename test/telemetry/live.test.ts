import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { root } from "../helpers/repo/sandbox.ts";
import { testFolder } from "../../support/folder.ts";
import { hasProgram, type Prometheus, startPrometheus } from "../helpers/telemetry/prometheus.ts";
import { type Stack, startStack } from "../../support/stack.ts";

const panelSchema = z.object({
  type: z.string(),
  title: z.string().default(""),
  description: z.string().default(""),
  fieldConfig: z.object({ defaults: z.object({ unit: z.string().optional() }).optional() }).optional(),
  targets: z.array(z.object({ expr: z.string() })).default([]),
});
const dashboardSchema = z.object({
  title: z.string(),
  panels: z.array(panelSchema),
  templating: z.object({ list: z.array(z.object({ name: z.string() })) }),
});

const boards = ["overview", "states", "gpu", "transfers", "health"].map((name) =>
  dashboardSchema.parse(JSON.parse(readFileSync(`${root}/grafana/dashboards/${name}.json`, "utf8"))),
);
const panels = boards.flatMap((board) =>
  board.panels.filter(({ type }) => type !== "row").map((panel) => ({ board: board.title, ...panel })),
);
const queries = panels.flatMap(({ board, title, targets }) =>
  targets.map(({ expr }) => ({ panel: `${board.replace(/^.*: /u, "")} / ${title}`, expr })),
);
const rules = [...readFileSync(`${root}/prometheus/alerts.yml`, "utf8").matchAll(/\bmirumoji_\w+/gu)].map(
  ([name]) => name,
);

/** As Grafana would fill in its variables, with *All* chosen. */
function filledIn(expression: string): string {
  return expression
    .replaceAll(/\$(type|instance|state)\b/gu, ".*")
    .replaceAll("$__rate_interval", "300s")
    .replaceAll("$__range", "300s");
}

describe("every panel", () => {
  it("says what it shows, in a unit", () => {
    for (const { title, description, fieldConfig } of panels) {
      expect({ title, described: description.length > 5, unit: fieldConfig?.defaults?.unit }).toEqual({
        title,
        described: true,
        unit: expect.any(String),
      });
    }
    for (const { templating } of boards) {
      expect(templating.list.map(({ name }) => name)).toEqual(
        expect.arrayContaining(["datasource", "type", "instance", "api"]),
      );
    }
  });
});

describe.runIf(hasProgram("prometheus", "queries of panels and rules against a live worker"))(
  "a live worker",
  () => {
    let stack: Stack;
    let prometheus: Prometheus | undefined;
    let folder: Awaited<ReturnType<typeof testFolder>>;
    let scrape = "";
    let metricsUrl = "";

    const ask = async (expression: string) => (await prometheus?.query(expression)) ?? [];

    beforeAll(async () => {
      stack = await startStack();
      folder = await testFolder();
      const worker = await stack.startWorker({
        MIRUMOJI_GPU_PRICES: "2026-11-23:own=3.6",
        MIRUMOJI_LOGGING_LEVEL: "info",
      });
      // Told in the log, a moment after the worker says that it is ready.
      while (!worker.log().includes("metricsUrl")) await sleep(50);
      metricsUrl = /"metricsUrl":"([^"]+)"/u.exec(worker.log())?.[1] ?? "";
      prometheus = await startPrometheus({
        folder: folder.path,
        targets: [{ job: "mirumoji-worker", address: new URL(metricsUrl).host }],
        rules: [join(root, "prometheus/alerts.yml")],
      });
      // Prometheus takes some seconds until its first scrape, and an increase is from one scrape to another.
      while ((await ask("up == 1")).length === 0) await sleep(100);
      await runEveryOutcome(stack);
      // The last events have to be scraped before anybody asks.
      await sleep(2500);
      scrape = await (await fetch(metricsUrl)).text();
    }, 180_000);
    afterAll(async () => {
      await prometheus?.[Symbol.asyncDispose]();
      await stack[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    });

    it("counts each of the outcomes", async () => {
      const count = async (expression: string) => (await ask(`sum(${expression})`))[0]?.value;
      const finished = "mirumoji_jobs_finished_total";
      expect(await count(`${finished}{status="completed"}`)).toBe(3);
      expect(await count(`${finished}{status="failed",code="INPUT_NOT_FOUND"}`)).toBe(1);
      expect(await count(`${finished}{status="cancelled",code="CANCELLED"}`)).toBe(1);
      expect(
        await count(`mirumoji_step_retries_total{state="upload",code="MODAL_UNAVAILABLE"}`),
      ).toBeGreaterThan(0);
      expect(await count(`mirumoji_gpu_calls_total{outcome="succeeded"}`)).toBe(3);
      expect(await count(`mirumoji_gpu_calls_total{outcome="cancelled"}`)).toBe(1);
      expect(await count("mirumoji_cancel_duration_seconds_count")).toBe(1);
      expect(await count("mirumoji_gpu_cost_usd_total")).toBeGreaterThan(0);
      expect(await count("mirumoji_gpu_call_run_seconds_count")).toBe(3);
      expect(await count("mirumoji_transfer_bytes_total")).toBeGreaterThan(0);
      expect(await count("mirumoji_jobs_in_state")).toBe(0);
      expect(await count("mirumoji_transfers_in_flight")).toBe(0);
      expect(await count("mirumoji_live_volumes")).toBe(0);
      expect(await count("mirumoji_workers")).toBe(2);
    });

    it("answers every query of every panel, with values", async () => {
      const rows: string[] = [];
      const empty: string[] = [];
      for (const { panel, expr } of queries) {
        const samples = await ask(filledIn(expr));
        const shown = samples.filter(({ value }) => !Number.isNaN(value));
        if (shown.length === 0) empty.push(`${panel}: ${expr}`);
        const first = shown.toSorted((a, b) => b.value - a.value)[0];
        const value = first === undefined ? "-" : `${Number(first.value.toPrecision(4))}`;
        rows.push(`| ${panel} | \`${expr.replaceAll("|", "\\|")}\` | ${value} (${shown.length} series) |`);
      }
      const table = ["| panel | query | largest value |", "|---|---|---|", ...rows, ""].join("\n");
      // For people, beside the board's screenshots.
      mkdirSync(join(root, "test-results"), { recursive: true });
      writeFileSync(join(root, "test-results/panels.md"), table);
      expect(empty).toEqual([]);
    });

    it("has every metric that a panel or a rule names", () => {
      const named = queries.flatMap(({ expr }) => [...expr.matchAll(/\b(?:mirumoji|nodejs|process)_\w+/gu)]);
      const wanted = new Set([...named.map(([name]) => name), ...rules]);
      const found = new Set([...scrape.matchAll(/^(\w+)[{ ]/gmu)].map(([, name]) => name ?? ""));
      expect([...wanted].filter((name) => !found.has(name))).toEqual([]);
    });

    it("lets Prometheus evaluate every rule, and none fires", async () => {
      const answer = z
        .object({
          data: z.object({
            groups: z.array(
              z.object({
                rules: z.array(z.object({ name: z.string(), health: z.string(), state: z.string() })),
              }),
            ),
          }),
        })
        .parse(await prometheus?.get("/api/v1/rules"));
      const evaluated = answer.data.groups.flatMap((group) => group.rules);
      expect(evaluated).toHaveLength(18);
      expect(evaluated.filter(({ health, state }) => health !== "ok" || state === "firing")).toEqual([]);
    });

    it("serves text that promtool finds nothing wrong with, quickly", async () => {
      const startedAt = performance.now();
      const text = await (await fetch(metricsUrl)).text();
      const ms = performance.now() - startedAt;
      const checked = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
      expect(`${checked.stdout}${checked.stderr}`).toBe("");
      expect(checked.status).toBe(0);
      const series = text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length;
      console.info(`scrape: ${ms.toFixed(0)} ms, ${text.length} bytes, ${series} series`);
      expect(ms).toBeLessThan(1000);
    });
  },
);

/** One retried and two completed jobs, one that fails by its input, one that is cancelled while it runs. */
async function runEveryOutcome(stack: Stack): Promise<void> {
  const { client, host } = stack;
  const request = { input: "film.mp4", language: "en" };
  const convert = await client.submit("convert", { input: "film.mp4", resolution: "64x64" });
  const missing = await client.submit("transcribe", { input: "nowhere.mp4", language: "en" });
  expect((await client.wait(convert.id)).status).toBe("completed");
  expect((await client.wait(missing.id)).error?.code).toBe("INPUT_NOT_FOUND");
  const completed = await client.submit("transcribe", { ...request, output: "first.srt" });
  expect((await client.wait(completed.id)).status).toBe("completed");
  const fault = { rpc: "VolumePutFiles2", code: "UNAVAILABLE", times: 5 };
  expect((await fetch(host.adminUrl, { method: "POST", body: JSON.stringify(fault) })).ok).toBe(true);
  const retried = await client.submit("transcribe", { ...request, output: "second.srt" });
  expect((await client.wait(retried.id)).status).toBe("completed");
  const cancelled = await client.submit("transcribe", { ...request, output: "third.srt" });
  await stack.seen(cancelled.id, ({ state }) => state === "call" && host.stats().calls.running > 0);
  await client.cancel(cancelled.id);
  expect((await client.wait(cancelled.id)).status).toBe("cancelled");
}
