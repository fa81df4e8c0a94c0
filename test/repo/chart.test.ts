import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { join } from "node:path";
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { loadEnvironment } from "../../src/config/load.ts";
import { collectPool, type PoolState } from "../../src/telemetry/metrics/collectors.ts";
import { PAUSE_CODES } from "../../src/telemetry/metrics/labels.ts";
import { testFolder } from "../../support/folder.ts";
import { root } from "../helpers/repo/sandbox.ts";
import { hasProgram, startPrometheus } from "../helpers/telemetry/prometheus.ts";

const CHART = "charts/mirumoji-worker";
/** Everything switched on, as Helm renders it; kept, so that machines without Helm can look at it too. */
const RENDERED = "test/repo/rendered-chart.yaml";
const SETTINGS = [
  "secrets.existingSecret=films-secrets",
  "media.existingClaim=films",
  "autoscaling.enabled=true",
  "podMonitor.enabled=true",
  "gpuHost.enabled=true",
  "settings.MIRUMOJI_DRAIN=30",
];

const hasHelm = spawnSync("helm", ["version"]).status === 0;
if (!hasHelm) process.stderr.write("skipped: rendering of the chart (needs helm)\n");

function helm(command: readonly string[], settings: readonly string[] = SETTINGS) {
  const set = settings.flatMap((setting) => ["--set", setting]);
  const { status, stdout, stderr } = spawnSync("helm", [...command, "--namespace", "media", ...set], {
    cwd: root,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

function template(settings?: readonly string[]) {
  return helm(["template", "films", CHART, "--kube-version", "1.31"], settings);
}

/** Line that ties what was rendered to the files that it came from. */
function fingerprint(): string {
  const hash = createHash("sha256");
  const names = readdirSync(join(root, CHART), { recursive: true, encoding: "utf8" }).toSorted();
  // The schema is generated from the settings, and shows in nothing that is rendered.
  for (const name of names.filter((path) => /\.(yaml|tpl)$/u.test(path)))
    hash.update(`${name}\0${readFileSync(join(root, CHART, name), "utf8")}`);
  return `# helm template of ${CHART} ${hash.digest("hex").slice(0, 16)}\n`;
}

const probeSchema = z.object({ httpGet: z.object({ path: z.string() }).optional() });
const containerSchema = z.object({
  name: z.string(),
  image: z.string(),
  env: z.array(z.object({ name: z.string(), value: z.string().optional() })),
  livenessProbe: probeSchema,
  readinessProbe: probeSchema,
  securityContext: z.unknown(),
  resources: z.object({ limits: z.object({ memory: z.string() }) }),
});
const workloadSchema = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    replicas: z.number().optional(),
    template: z.object({
      spec: z.object({
        automountServiceAccountToken: z.literal(false),
        terminationGracePeriodSeconds: z.number(),
        securityContext: z.object({ runAsNonRoot: z.literal(true), runAsUser: z.number().min(1) }),
        containers: z.tuple([containerSchema]),
      }),
    }),
  }),
});
const scaledSchema = z.object({
  spec: z.object({
    triggers: z.tuple([
      z.object({ metadata: z.object({ query: z.string(), threshold: z.string() }) }),
      z.object({ metadata: z.object({ query: z.string(), threshold: z.string() }) }),
    ]),
  }),
});

const text = readFileSync(join(root, RENDERED), "utf8");
const objects = parseAllDocuments(text).map(
  (document) => document.toJS() as { kind: string } & Record<string, unknown>,
);
const ofKind = (...kinds: string[]) => objects.filter(({ kind }) => kinds.includes(kind));
const workloads = ofKind("Deployment", "StatefulSet").map((object) => workloadSchema.parse(object));

describe("the chart", () => {
  it("is what was rendered last (with helm: npx vitest run test/repo/chart.test.ts -u)", async () => {
    if (!hasHelm) return expect(text.startsWith(fingerprint())).toBe(true);
    const { status, stdout, stderr } = template();
    expect(stderr).toBe("");
    expect(status).toBe(0);
    return await expect(fingerprint() + stdout).toMatchFileSnapshot(join(root, RENDERED));
  });

  it.runIf(hasHelm)("passes helm lint, and refuses what the product does not know", () => {
    expect(helm(["lint", "--strict", CHART]).stdout).toContain("0 chart(s) failed");
    const wrong = ["settings.MIRUMOJI_DRAINN=30", "secrets.existingSecret="];
    for (const setting of wrong) expect(template([...SETTINGS, setting]).status, setting).not.toBe(0);
    const twice = template([...SETTINGS, "settings.MODAL_SERVER_URL=http://elsewhere:1"]);
    expect(twice.stderr).toContain("set one of them");
  });

  it.runIf(hasHelm)("has a number of workers of its own where nothing scales them", () => {
    const { stdout } = template(SETTINGS.filter((setting) => !setting.startsWith("autoscaling")));
    expect(stdout).toMatch(/name: films-worker\n[^]*\n {2}replicas: 2\n/u);
    expect(stdout).not.toContain("ScaledObject");
    const scaled = workloads.find(({ metadata }) => metadata.name === "films-worker");
    expect(scaled?.spec.replicas).toBeUndefined();
  });

  it("has all parts, each denied what it does not need", () => {
    expect(workloads.map(({ metadata }) => metadata.name).toSorted()).toEqual([
      "films-api",
      "films-gpu-host",
      "films-worker",
    ]);
    const kinds = [...new Set(objects.map(({ kind }) => kind))].toSorted();
    expect(kinds).toEqual(
      "Deployment NetworkPolicy PodDisruptionBudget PodMonitor ScaledObject Service ServiceAccount StatefulSet".split(
        " ",
      ),
    );
    for (const { spec } of workloads) {
      expect(spec.template.spec.containers[0].securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
    }
    expect(ofKind("NetworkPolicy")).toHaveLength(workloads.length);
  });

  it("restarts only what does not live, and waits longer than a worker drains", () => {
    for (const { metadata, spec } of workloads) {
      const [container] = spec.template.spec.containers;
      if (metadata.name === "films-gpu-host") continue;
      expect(container.livenessProbe.httpGet?.path).toBe("/livez");
      expect(container.readinessProbe.httpGet?.path).toBe("/readyz");
    }
    const worker = workloads.find(({ metadata }) => metadata.name === "films-worker");
    expect(worker?.spec.template.spec.terminationGracePeriodSeconds).toBe(50);
  });

  it("gives variables that are taken, each once, and secrets only by reference", () => {
    const secrets = [
      "BOARD_USERS",
      "MODAL_TOKEN_ID",
      "MODAL_TOKEN_SECRET",
      "REDIS_URL",
      "MIRUMOJI_LLM_KEY",
      "MIRUMOJI_S3_CONNECTIONS",
    ];
    const samples: Record<string, string> = {
      REDIS_URL: "redis://redis:6379",
      BOARD_USERS: "a:b",
      MIRUMOJI_S3_CONNECTIONS: "{}",
    };
    for (const { metadata, spec } of workloads) {
      const { env } = spec.template.spec.containers[0];
      expect(new Set(env.map(({ name }) => name)).size).toBe(env.length);
      for (const name of secrets) expect(env.find((entry) => entry.name === name)?.value).toBeUndefined();
      const values = env.map(({ name, value }) => [name, value ?? samples[name] ?? "x"]);
      expect(() => loadEnvironment(Object.fromEntries(values) as Record<string, string>)).not.toThrow();
      // Functions run beside the GPU host.
      const has = env.some(({ name }) => name === "REDIS_URL");
      expect(has, metadata.name).toBe(metadata.name !== "films-gpu-host");
    }
  });
});

const POOL: PoolState = {
  queues: [],
  pausedFor: null,
  liveVolumes: 0,
  webhooksPending: 0,
  webhooksDead: 0,
  oldestWebhookSeconds: 0,
  unreadableVolumes: 0,
  oldestVolumeSeconds: 0,
  redisUsedBytes: 0,
  redisLimitBytes: 0,
  tenants: [],
};
const queue = (name: string, age: number, active: number, isPaused = false) => ({
  queue: name,
  jobs: { active },
  oldestWaitingSeconds: age,
  isPaused,
  workers: 2,
});

describe("the pool is scaled", () => {
  it.runIf(hasProgram("prometheus", "the queries that scale the pool"))(
    "by the oldest job that waits, by what runs, and not for what is paused",
    async () => {
      await using folder = await testFolder();
      let state = POOL;
      // Metrics as a process of ours shows them, in the namespace that the operator would add.
      const metrics = createServer((_request, response) => {
        const registry = new Registry();
        registry.setDefaultLabels({ namespace: "media" });
        collectPool(registry, async () => await Promise.resolve(state));
        void registry.metrics().then((lines) => response.setHeader("content-type", "text/plain").end(lines));
      }).listen(0, "127.0.0.1");
      await once(metrics, "listening");
      const address = metrics.address();
      if (address === null || typeof address === "string") throw new Error("no port");
      await using prometheus = await startPrometheus({
        folder: folder.path,
        targets: [{ job: "mirumoji-api", address: `127.0.0.1:${address.port}` }],
        rules: [],
      });
      const [scaled] = ofKind("ScaledObject");
      const [waiting, busy] = scaledSchema.parse(scaled).spec.triggers;
      const values = async () => {
        const found = [waiting, busy].map(async ({ metadata }) => await prometheus.query(metadata.query));
        return (await Promise.all(found)).map((samples) => samples.map(({ value }) => value));
      };
      const shows = async (
        queues: PoolState["queues"],
        expected: readonly number[],
        pausedFor: string | null = null,
      ) => {
        state = { ...POOL, queues, pausedFor };
        await expect
          .poll(values, { timeout: 10_000, interval: 200 })
          .toEqual(expected.map((value) => [value]));
      };
      expect(await values(), "before anything is scraped").toEqual([[0], [0]]);
      await shows([queue("transcribe", 300, 6), queue("convert", 20, 2)], [300, 1.5]);
      await shows([queue("transcribe", 300, 1, true), queue("convert", 20, 12)], [20, 3]);
      const throttled = [queue("transcribe", 300, 4), queue("convert", 0, 0)];
      await shows(throttled, [0, 1], PAUSE_CODES[0]);
      await shows([queue("transcribe", 0, 0), queue("convert", 0, 0)], [0, 0]);
      expect([waiting.metadata.threshold, busy.metadata.threshold]).toEqual(["60", "1"]);
      metrics.close();
      metrics.closeAllConnections();
    },
  );
});
