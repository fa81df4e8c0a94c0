import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { runCommand } from "../../support/dev.ts";
import { type HostForTests, startHostForTests } from "../helpers/modal/gpu-host.ts";

const reportSchema = z.object({
  ok: z.boolean(),
  serverUrl: z.string(),
  steps: z.array(z.object({ name: z.string(), status: z.string(), ms: z.number() })),
});

let host: HostForTests;
beforeEach(async () => {
  host = await startHostForTests();
});
afterEach(async () => await host[Symbol.asyncDispose]());

async function check(args: string[] = [], env: Record<string, string> = {}) {
  return await runCommand(["modal", "check", ...args], {
    cwd: host.folder,
    env: {
      MODAL_SERVER_URL: host.host.serverUrl,
      MODAL_TOKEN_ID: host.host.tokenId,
      MODAL_TOKEN_SECRET: host.host.tokenSecret,
      ...env,
    },
  });
}

test("modal check prints each step with its time and what it learnt", async () => {
  const { code, stdout, stderr } = await check();
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(15);
  for (const line of lines) expect(line).toMatch(/^ok {4}[a-z ]{15} +\d+\.\d\d s {2}\S/);
  expect(stdout).toContain("client type accepted: 8 (JavaScript)");
  expect(stdout).toMatch(/ended after cancel, ms: \d+/);
  expect(host.host.stats()).toMatchObject({ volumes: { live: 0 }, apps: { live: 0 }, calls: { running: 0 } });
});

test("modal check ends with exit code 1 and the reason when a step fails", async () => {
  await host.fault({ rpc: "FunctionCreate", code: "INVALID_ARGUMENT" });
  const { code, stdout, stderr } = await check(["--json"]);
  expect(code).toBe(1);
  const report = reportSchema.parse(JSON.parse(stdout));
  expect(report.ok).toBe(false);
  expect(report.steps.find(({ status }) => status === "failed")?.name).toBe("functions");
  expect(stderr).toMatch(/^functions: MODAL_REFUSED: Modal FunctionCreate: INVALID_ARGUMENT/);
  expect(host.host.stats()).toMatchObject({ volumes: { live: 0 }, apps: { live: 0 } });

  const refused = await check([], { MODAL_TOKEN_SECRET: "as-wrong" });
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.stdout).toMatch(/^FAIL {2}hello .* MODAL_UNAUTHENTICATED\n/);
  expect(refused.stdout).toContain("skip  environment\n");
  const away = await check([], { MODAL_SERVER_URL: "http://127.0.0.1:9" });
  expect(away).toMatchObject({ code: 1 });
  expect(away.stderr).toMatch(/hello: MODAL_UNAVAILABLE/);
});
