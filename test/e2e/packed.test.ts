import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { copyFile, mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { cleanEnvironment, SAMPLE } from "../../support/dev.ts";
import { testFolder } from "../../support/folder.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Packages that `npm install` of ours brings, without those of development, at the top of node_modules. */
function productionPackages(): string[] {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean; optional?: boolean }>;
  };
  return Object.entries(lock.packages).flatMap(([path, { dev }]) => {
    const [, name] = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/u.exec(path) ?? [];
    return name === undefined || dev === true ? [] : [name];
  });
}

/** Packs the repository and lays it out elsewhere as npm would; gives the folder of the other project. */
async function installElsewhere(folder: string): Promise<string> {
  const args = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  const { stdout } = await run("npm", args, { cwd: ROOT });
  const [{ filename = "" } = {}] = JSON.parse(stdout.slice(stdout.indexOf("["))) as { filename?: string }[];
  await run("tar", ["-xzf", join(folder, filename), "-C", folder]);
  const project = join(folder, "project");
  const modules = join(project, "node_modules");
  await mkdir(modules, { recursive: true });
  await rename(join(folder, "package"), join(modules, "mirumoji-worker"));
  for (const name of productionPackages()) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    // Optional packages of other systems are missing; nobody follows those links.
    await symlink(join(ROOT, "node_modules", name), join(modules, name));
  }
  return project;
}

it("the package works elsewhere as command, library and embedded worker, with its own dependencies", async () => {
  await using folder = await testFolder();
  const project = await installElsewhere(folder.path);
  const launcher = join(project, "node_modules/mirumoji-worker/bin/mirumoji-worker.js");
  await mkdir(join(project, "media"));
  await copyFile(SAMPLE, join(project, "media", "film.mp4"));
  const dev = spawn(process.execPath, [launcher, "dev", "--json"], {
    cwd: project,
    env: cleanEnvironment({ MIRUMOJI_HTTP_PORT: "0" }),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(dev, "exit");
  const [line] = (await once(createInterface({ input: dev.stdout }), "line")) as [string];
  const ready = JSON.parse(line) as Record<string, string>;
  await writeFile(
    join(project, "main.mjs"),
    `import { createClient } from "mirumoji-worker";
    import { startWorker } from "mirumoji-worker/worker";
    import schema from "mirumoji-worker/schema/convert.json" with { type: "json" };
    const client = await createClient({ redisUrl: process.env.REDIS_URL });
    const { id } = await client.submit("convert", { input: "film.mp4", resolution: "160x90" });
    const job = await client.wait(id);
    const worker = await startWorker(process.env);
    const metrics = await worker.metrics();
    await worker.stop();
    await client.close();
    const isWorker = metrics.includes("mirumoji_job_slots");
    console.log(JSON.stringify({ status: job.status, isWorker, schema: schema.type }));
    process.exit();`,
  );
  const { stdout } = await run(process.execPath, ["main.mjs"], {
    cwd: project,
    env: cleanEnvironment({
      REDIS_URL: ready["redisUrl"] ?? "",
      HOST_MEDIA_PATH: join(project, "media"),
      MODAL_SERVER_URL: ready["serverUrl"] ?? "",
      MODAL_TOKEN_ID: ready["tokenId"] ?? "",
      MODAL_TOKEN_SECRET: ready["tokenSecret"] ?? "",
      MIRUMOJI_LOGGING_LEVEL: "silent",
    }),
  });
  expect(JSON.parse(stdout)).toEqual({ status: "completed", isWorker: true, schema: "object" });
  dev.kill("SIGTERM");
  expect(await gone).toEqual([0, null]);
  // Every command is there, with its parts.
  const { stdout: help } = await run(process.execPath, [launcher, "--help"], { cwd: project });
  for (const command of ["worker", "api", "gpu-host", "submit", "demo", "doctor"])
    expect(help).toContain(command);
});
