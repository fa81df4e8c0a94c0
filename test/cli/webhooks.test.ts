import { expect, it } from "vitest";
import { openOutbox } from "../../src/queue/outbox.ts";
import { runCommand } from "../../support/dev.ts";
import { startTestServer } from "../helpers/http/server.ts";

it("`webhooks` shows what was given up, replays it and rotates secrets, and `keys audit` remembers", async () => {
  await using server = await startTestServer();
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCommand([...args, "--json"], {
      cwd: server.mediaRoot,
      env: { REDIS_URL: server.redisUrl, MIRUMOJI_QUEUE_PREFIX: server.prefix },
    });
    return { code, stderr, json: stdout === "" ? null : (JSON.parse(stdout) as unknown) };
  };
  const url = "https://hooks.example/services/T0PSECRET";
  const made = await run(
    "keys",
    "create",
    "--name",
    "shop",
    "--webhook-url",
    url,
    "--webhook-events",
    "failed",
  );
  const { id: keyId } = made.json as { id: string };
  const inside = await run("keys", "webhook", keyId, "--url", "http://10.0.0.1/");
  expect(`${inside.code} ${inside.stderr}${JSON.stringify(inside.json)}`).toContain("URL_NOT_ALLOWED");
  const { id } = await server.jobs.submit("convert", { input: "a.mkv" }, { apiKey: keyId });
  await server.finish("convert", new Error("ENGINE_FAILED: no picture"));
  const outbox = openOutbox(server.redis, server.prefix);
  const pending = await run("webhooks", "list", "--pending");
  expect(pending.json).toMatchObject([{ jobId: id, event: "job.failed", tries: 0, to: `key ${keyId}` }]);
  for (const claim of await outbox.claim(1, 1000))
    await outbox.settle(claim, { result: "dead", error: "gone" });
  const dead = await run("webhooks", "list");
  expect(dead.json).toMatchObject([{ jobId: id, tries: 1, lastError: "gone" }]);
  expect((await run("webhooks", "replay", "--all")).json).toMatchObject({ replayed: [expect.any(String)] });
  expect(await outbox.figures()).toMatchObject({ pending: 1, dead: 0 });
  const [before] = ((await run("webhooks", "secret", "--key", keyId)).json as { secrets: string[] }).secrets;
  const { secret } = (await run("webhooks", "rotate", "--key", keyId)).json as { secret: string };
  expect((await run("webhooks", "secret", "--key", keyId)).json).toEqual({ secrets: [secret, before] });
  expect((await run("webhooks", "rotate", "--key", "nobody")).code).not.toBe(0);
  const audit = await run("keys", "audit");
  expect((audit.json as { action: string }[]).map(({ action }) => action)).toEqual([
    "webhook.rotate",
    "webhook.replay",
    "key.create",
  ]);
  const shown = JSON.stringify([made, pending, dead, audit, (await run("keys", "list")).json]);
  expect(shown).toContain("https://hooks.example/…");
  expect(shown).not.toContain("T0PSECRET");
});
