import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { validate, ValidationSeverity } from "dockerfile-utils";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { loadEnvironment } from "../../src/config/load.ts";
import { environmentSchema } from "../../src/config/schema.ts";
import { runCommand } from "../../support/dev.ts";
import { root } from "../helpers/repo/sandbox.ts";

// Checks the files without a Docker engine: everything they name is looked up in the product.
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** The media folder: a missing one stops the start, where Docker would make one that only root may write. */
const mountSchema = z
  .object({
    type: z.literal("bind"),
    source: z.string(),
    target: z.string(),
    bind: z.object({ create_host_path: z.literal(false) }),
  })
  .transform(({ source, target }) => `${source}:${target}`);
const serviceSchema = z.object({
  image: z.string(),
  build: z.unknown().optional(),
  command: z.array(z.string()),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.union([z.string(), mountSchema])).default([]),
  ports: z.array(z.string()).default([]),
  user: z.string(),
  read_only: z.literal(true),
  cap_drop: z.tuple([z.literal("ALL")]),
  security_opt: z.tuple([z.literal("no-new-privileges:true")]),
  restart: z.literal("unless-stopped"),
  stop_grace_period: z.string().optional(),
  healthcheck: z.object({ test: z.array(z.string()).min(2) }),
  depends_on: z.record(z.string(), z.object({ condition: z.literal("service_healthy") })).optional(),
  profiles: z.array(z.string()).optional(),
  deploy: z.object({ resources: z.object({ limits: z.object({ cpus: z.string(), memory: z.string() }) }) }),
});
const composeSchema = z.object({
  services: z.record(z.string(), serviceSchema.extend({ command: z.array(z.string()).optional() })),
  volumes: z.record(z.string(), z.null()),
});
const compose = composeSchema.parse(parse(read("docker-compose.yml"), { merge: true }));
const ours = Object.entries(compose.services).filter(([, { image }]) => image.startsWith("mirumoji-"));
const variables = (text: string) =>
  [...text.matchAll(/\$\{(\w+)(?::[-?][^}]*)?\}/gu)].map(([, name]) => name ?? "");
/** Values as they are when `.env` has only what must be set. */
const filled = (text: string) =>
  text.replace(/\$\{\w+:-([^}]*)\}/gu, "$1").replace(/\$\{\w+:\?[^}]*\}/gu, "ab:cd");

describe("docker-compose.yml", () => {
  it("has every service, and names no version that moves", () => {
    expect(Object.keys(compose.services).toSorted()).toEqual([
      "api",
      "gpu-host",
      "grafana",
      "prometheus",
      "redis",
      "worker",
    ]);
    const images = Object.values(compose.services).map(({ image }) => image);
    const bases = ["Dockerfile", "container/Dockerfile"].flatMap((path) =>
      [...read(path).matchAll(/^FROM (\S+)/gmu)]
        .map(([, base]) => base ?? "")
        .filter((base) => base.includes(":")),
    );
    expect(bases.length).toBeGreaterThan(2);
    for (const image of [...images, ...bases]) expect(image).toMatch(/:v?\d+\.\d+/u);
    const { version } = JSON.parse(read("package.json")) as { version: string };
    for (const [, { image }] of ours)
      expect(image).toMatch(new RegExp(`:${version.replaceAll(".", "\\.")}$`, "u"));
  });

  it("runs nobody as root and opens ports to this machine only", () => {
    for (const [name, { user, ports }] of Object.entries(compose.services)) {
      expect(filled(user), name).toMatch(/^[1-9]\d*:\d+$/u);
      for (const port of ports) expect(port, name).toMatch(/^127\.0\.0\.1:/u);
    }
    expect(compose.services["worker"]?.ports).toEqual([]);
    expect(compose.services["gpu-host"]?.profiles).toEqual(["local-gpu"]);
  });

  it.each(ours)("gives %s variables that exist, with values that are taken", (_name, { environment }) => {
    const known = Object.keys(environmentSchema.shape);
    expect(Object.keys(environment).filter((name) => !known.includes(name))).toEqual([]);
    const values = Object.fromEntries(
      Object.entries(environment).map(([name, value]) => [name, filled(value)]),
    );
    expect(() => loadEnvironment(values)).not.toThrow();
  });

  it.each(ours)("starts %s with a command that exists", async (_name, { command = [], healthcheck }) => {
    expect((await runCommand([...command, "--help"], { cwd: root })).code).toBe(0);
    const [how, program, ...probe] = healthcheck.test;
    expect([how, program]).toEqual(["CMD", "mirumoji-worker"]);
    const { code, stdout } = await runCommand([...probe, "--help"], { cwd: root });
    expect([code, stdout]).toEqual([0, expect.stringContaining("mirumoji-worker health")]);
  });

  it("mounts what exists, at the places that the product reads", () => {
    for (const { volumes } of Object.values(compose.services)) {
      for (const volume of volumes.map(filled)) {
        const [source = ""] = volume.split(":");
        if (source === "./media") continue; // the operator's own
        if (source.startsWith("./")) expect(existsSync(join(root, source)), source).toBe(true);
        else expect(Object.keys(compose.volumes)).toContain(source);
      }
    }
    const { worker, api, grafana } = compose.services;
    expect(worker?.environment["HOST_MEDIA_PATH"]).toBe("/media");
    expect(worker?.volumes.map(filled)).toEqual(["./media:/media"]);
    expect(api?.volumes.map(filled)).toEqual(["./media:/media"]);
    const folder = /path: (\S+)/u.exec(read("grafana/provisioning/dashboards/mirumoji.yml"))?.[1];
    expect(grafana?.volumes).toContain(`./grafana/dashboards:${folder}:ro`);
    expect(grafana?.environment["PROMETHEUS_URL"]).toBe("http://prometheus:9090");
  });

  it("waits longer for a worker than the worker takes to hand its jobs back", () => {
    const { worker } = compose.services;
    const grace = Number.parseInt(worker?.stop_grace_period ?? "", 10);
    expect(grace).toBeGreaterThan(Number(worker?.environment["MIRUMOJI_DRAIN"]) + 5);
  });

  it("is scraped where it listens", () => {
    const text = read("prometheus/prometheus.yml");
    for (const name of ["worker", "api"]) {
      expect(compose.services[name]?.environment["MIRUMOJI_HTTP_PORT"]).toBe("9464");
      expect(text).toMatch(new RegExp(`\\b${name}\\b`, "u"));
    }
    expect(text).toContain("api:9464");
    expect(text).toContain("port: 9464");
  });

  it("asks Redis for what the product needs", () => {
    const command = compose.services["redis"]?.command?.join(" ");
    expect(command).toContain("--appendonly yes");
    expect(command).toContain("--maxmemory-policy noeviction");
  });

  it("passes on every setting, and finds in .env.example what it needs and nothing that it ignores", () => {
    const text = read("docker-compose.yml");
    const named = [...read(".env.example").matchAll(/^([A-Z_]+)=/gmu)].map(([, name]) => name ?? "");
    expect(named.filter((name) => !variables(text).includes(name))).toEqual([]);
    const needed = [...text.matchAll(/\$\{(\w+):\?/gu)].map(([, name]) => name);
    expect(needed.filter((name) => name !== undefined && !named.includes(name))).toEqual([]);
    const { worker, api, "gpu-host": gpuHost } = compose.services;
    for (const name of Object.keys(environmentSchema.shape).filter((known) => !known.endsWith("_FILE"))) {
      const taken = [worker, api, gpuHost].some((service) => name in (service?.environment ?? {}));
      expect(taken, name).toBe(true);
    }
  });

  it("keeps Redis below the memory of its container, with room for a fork", () => {
    const { command = [], deploy } = compose.services["redis"] ?? {};
    const most = Number.parseInt(command[command.indexOf("--maxmemory") + 1] ?? "", 10);
    expect(deploy?.resources.limits.memory).toBe("1g");
    expect(most).toBeLessThanOrEqual(0.65 * 1024);
  });

  it("restarts nobody who lives: the probe of workers and API is liveness", () => {
    for (const name of ["worker", "api"])
      expect(compose.services[name]?.healthcheck.test).toContain("--live");
    expect(read("Dockerfile")).toContain('CMD ["mirumoji-worker", "health", "--live"]');
  });

  it("is taken by Compose itself, where there is one", ({ skip }) => {
    const isThere = (command: string, ...args: string[]) =>
      spawnSync(command, [...args, "version"]).status === 0;
    const isNew = isThere("docker", "compose");
    if (!isNew && !isThere("docker-compose"))
      skip("Compose is not installed (apt-get install docker-compose)");
    // Debian's Compose 1 knows no create_host_path; it never makes the folder of a mount in this form.
    const text = read("docker-compose.yml").replace(isNew ? "" : "  bind: { create_host_path: false }\n", "");
    const config = (env: Record<string, string>, ...args: string[]) =>
      spawnSync(
        isNew ? "docker" : "docker-compose",
        [...(isNew ? ["compose"] : []), "--project-directory", root, "-f", "-", ...args, "config"],
        { encoding: "utf8", input: text, env: { PATH: process.env["PATH"], ...env } },
      );
    const needed = {
      BOARD_USERS: "a:b",
      MODAL_TOKEN_ID: "x",
      MODAL_TOKEN_SECRET: "y",
      GRAFANA_PASSWORD: "z",
    };
    const whole = config(needed, "--profile", "local-gpu");
    expect(whole.status, whole.stderr).toBe(0);
    const bare = config({});
    expect(bare.status).not.toBe(0);
    expect(bare.stderr).toMatch(/set it in \.env/u);
  });
});

describe("scripts/try-containers.sh", () => {
  it("says that nothing was tried, with an exit code of its own, where no engine answers", () => {
    const { status, stdout } = spawnSync("sh", ["scripts/try-containers.sh"], {
      cwd: root,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], DOCKER_HOST: "unix:///nonexistent/docker.sock" },
    });
    expect(stdout).toMatch(/^nothing was tried: .+\n$/u);
    expect(status).toBe(3);
  });
});

/** Findings of the Dockerfile linter, with every rule switched on. */
function lint(dockerfile: string): string[] {
  const severity = ValidationSeverity.ERROR;
  const findings = validate(dockerfile, {
    deprecatedMaintainer: severity,
    directiveCasing: severity,
    emptyContinuationLine: severity,
    instructionCasing: severity,
    instructionCmdMultiple: severity,
    instructionEntrypointMultiple: severity,
    instructionHealthcheckMultiple: severity,
    instructionJSONInSingleQuotes: severity,
    instructionWorkdirRelative: severity,
  });
  return findings.map(({ range, message }) => `${range.start.line + 1}: ${JSON.stringify(message)}`);
}

describe("the linter of Dockerfiles", () => {
  it.each([
    ["an unknown instruction", "FROM a:1.0\nRUNN true\n"],
    ["no FROM", "RUN true\n"],
    ["an unknown flag", "FROM a:1.0\nCOPY --form=b c d\n"],
    ["a wrong port", "FROM a:1.0\nEXPOSE 80x\n"],
    ["a wrong duration", 'FROM a:1.0\nHEALTHCHECK --interval=abc CMD ["x"]\n'],
    ["two commands", 'FROM a:1.0\nCMD ["a"]\nCMD ["b"]\n'],
    ["a relative folder", "FROM a:1.0\nWORKDIR app\n"],
    ["a gap in a continued line", "FROM a:1.0\nRUN a \\\n\n  && b\n"],
  ])("finds %s", (_what, dockerfile) => {
    expect(lint(dockerfile)).not.toEqual([]);
  });
});

describe.each(["Dockerfile", "container/Dockerfile"])("%s", (path) => {
  it("has nothing that the linter finds", () => {
    expect(lint(read(path))).toEqual([]);
  });

  const text = read(path).replaceAll("\\\n", " ");

  it("copies what is there, and ends without root", () => {
    const sources = [...text.matchAll(/^COPY (?!--from)(.+)$/gmu)].flatMap(([, list = ""]) =>
      list.split(" ").slice(0, -1),
    );
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources) expect(existsSync(join(root, source)), source).toBe(true);
    const ignored = read(".dockerignore").split("\n");
    expect(sources.filter((source) => ignored.includes(source.replace(/\/$/u, "")))).toEqual([]);
    const users = [...text.matchAll(/^USER (\S+)/gmu)].map(([, user]) => user);
    expect(users.at(-1)).toMatch(/^(node|ubuntu)$/u);
  });

  it("starts and probes with commands that exist, and sets variables that exist", async () => {
    const commands = [...text.matchAll(/(?:CMD|ENTRYPOINT) (\[.*\])/gu)].map(
      ([, json = ""]) => JSON.parse(json) as string[],
    );
    expect(commands).toHaveLength(3);
    for (const command of commands) {
      const args = command.filter((word) => word !== "mirumoji-worker");
      expect((await runCommand([...args, "--help"], { cwd: root })).code, args.join(" ")).toBe(0);
    }
    const set = [...text.matchAll(/\b((?:MIRUMOJI|HOST|MODAL|BOARD)_[A-Z_]+)=/gu)].map(
      ([, name = ""]) => name,
    );
    expect(set.filter((name) => !(name in environmentSchema.shape))).toEqual([]);
    expect(set.length).toBeGreaterThan(2);
  });
});
