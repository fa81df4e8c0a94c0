import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mirumoji-profile-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

test("the SDK is loaded without the developer's profile, and the variable is put back", async () => {
  const profile = join(folder, "modal.toml");
  await writeFile(profile, '[default]\nactive = true\nenvironment = "of-a-developer"\n');
  vi.stubEnv("MODAL_CONFIG_PATH", profile);
  vi.stubEnv("MODAL_ENVIRONMENT", "");
  const { ModalClient } = await import("../../../src/modal/rpc/sdk.ts");
  const client = new ModalClient({ tokenId: "ak-1", tokenSecret: "as-1" });
  expect(client.environmentName()).toBe("");
  expect(process.env["MODAL_CONFIG_PATH"]).toBe(profile);
});
