import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

/** Whether a program of Debian's package `prometheus` can be run; without it a line says what is skipped. */
export function hasProgram(program: "prometheus" | "promtool", what: string): boolean {
  if (spawnSync(program, ["--version"]).status === 0) return true;
  process.stderr.write(`skipped: ${what} (needs ${program}: apt-get install prometheus)\n`);
  return false;
}

const answerSchema = z.discriminatedUnion("status", [
  z.object({
    status: z.literal("success"),
    data: z.object({
      resultType: z.enum(["vector", "scalar", "matrix"]),
      result: z.array(
        z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) }),
      ),
    }),
  }),
  z.object({ status: z.literal("error"), error: z.string() }),
]);

export interface Sample {
  readonly labels: Record<string, string>;
  readonly value: number;
}

/** A Prometheus of this test's own. */
export interface Prometheus extends AsyncDisposable {
  /** @throws Error with Prometheus's own words when the query is wrong */
  query(expression: string): Promise<Sample[]>;
  get(path: string): Promise<unknown>;
}

/** Starts Prometheus with a scrape of each target every second, and the given rule files. */
export async function startPrometheus(options: {
  folder: string;
  targets: readonly { job: string; address: string }[];
  rules: readonly string[];
}): Promise<Prometheus> {
  const port = await freePort();
  const config = join(options.folder, "prometheus.yml");
  const scrapes = options.targets.map(({ job, address }) => ({
    job_name: job,
    static_configs: [{ targets: [address] }],
  }));
  // JSON is YAML.
  const settings = {
    global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
    rule_files: options.rules,
    scrape_configs: scrapes,
  };
  await writeFile(config, JSON.stringify(settings));
  const child = spawn(
    "prometheus",
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(options.folder, "prometheus")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  const exited = once(child, "exit");
  const url = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + 20_000;
  while (!(await isReady(url))) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(`Prometheus did not start:\n${log}`);
    await sleep(100);
  }
  return {
    async query(expression) {
      const response = await fetch(`${url}/api/v1/query`, {
        method: "POST",
        body: new URLSearchParams({ query: expression }),
      });
      const answer = answerSchema.parse(await response.json());
      if (answer.status === "error") throw new Error(`${answer.error} in ${expression}`);
      return answer.data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
    },
    get: async (path) => await (await fetch(`${url}${path}`)).json(),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/-/ready`)).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
