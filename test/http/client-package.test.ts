import { execFile } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { testFolder } from "../../support/folder.ts";
import { startTestServer } from "../helpers/http/server.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MEGABYTE = 2 ** 20;

interface Manifest {
  readonly version: string;
  readonly dependencies: Record<string, string>;
  readonly peerDependencies: Record<string, string>;
}
const manifest = (path: string) =>
  JSON.parse(readFileSync(join(ROOT, path, "package.json"), "utf8")) as Manifest;

function bytesOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

it("the client's package works with what it names alone, over HTTP and over Redis, and is small", async () => {
  await using server = await startTestServer();
  await using folder = await testFolder();
  const client = join(ROOT, "clients", "typescript");
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder.path], { cwd: client });
  const [{ filename = "" } = {}] = JSON.parse(stdout.slice(stdout.indexOf("["))) as { filename?: string }[];
  const modules = join(folder.path, "node_modules");
  await mkdir(modules);
  await run("tar", ["-xzf", join(folder.path, filename), "-C", modules]);
  const installed = join(modules, "package");
  const { version, dependencies, peerDependencies } = manifest("clients/typescript");
  const whole = manifest(".");
  expect(version).toBe(whole.version);
  expect(whole.dependencies).toMatchObject({ ...dependencies, ...peerDependencies });
  const link = async (name: string) => await symlink(join(ROOT, "node_modules", name), join(modules, name));
  for (const name of Object.keys(dependencies)) await link(name);
  const sizes = [installed, ...Object.keys(dependencies).map((name) => join(ROOT, "node_modules", name))];
  expect(sizes.reduce((sum, path) => sum + bytesOf(path), 0)).toBeLessThan(10 * MEGABYTE);

  await writeFile(
    join(folder.path, "main.mjs"),
    `import { createClient } from "./node_modules/package/dist/index.js";
    try {
      const client = await createClient(JSON.parse(process.argv[2]));
      const job = await client.submit("convert", { input: "small.mkv" }, { idempotencyKey: "small" });
      console.log(JSON.stringify(job));
      await client.close();
    } catch (error) {
      console.log(JSON.stringify(error.code));
    }`,
  );
  const submit = async (options: object) => {
    const args = [join(folder.path, "main.mjs"), JSON.stringify(options)];
    return JSON.parse((await run(process.execPath, args)).stdout) as unknown;
  };
  const overHttp = { apiUrl: server.http.apiUrl, apiKey: await server.key() };
  const overRedis = { redisUrl: server.redisUrl, queuePrefix: server.prefix };
  expect(await submit(overHttp)).toMatchObject({ type: "convert", created: true });
  expect(await submit(overRedis)).toBe("PROGRAM_MISSING");
  for (const name of Object.keys(peerDependencies)) await link(name);
  expect(await submit(overRedis)).toMatchObject({ type: "convert", created: false });
});
