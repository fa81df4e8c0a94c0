import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startStack } from "../../support/stack.ts";

it("a download with wrong bytes is noticed and fetched again, never written", async () => {
  await using stack = await startStack();
  const order = async (fault: object) =>
    expect((await fetch(stack.host.adminUrl, { method: "POST", body: JSON.stringify(fault) })).ok).toBe(true);
  await order({ block: "GET", behaviour: "wrong-bytes", times: 1000 });
  await stack.startWorker();
  const { id } = await stack.client.submit("convert", {
    input: "film.mp4",
    resolution: "160x90",
    output: "out.mp4",
  });
  const retried = await stack.seen(id, ({ states }) =>
    states.some(({ state, attempts }) => state === "download" && attempts > 1),
  );
  expect(retried.outputs).toEqual([]);
  expect(await readdir(stack.mediaRoot)).toEqual(["film.mp4"]);
  expect((await fetch(stack.host.adminUrl, { method: "DELETE" })).ok).toBe(true);
  const job = await stack.client.wait(id, { pollMs: 50 });
  expect(job).toMatchObject({ status: "completed", error: null });
  const [output] = job.outputs;
  const data = await readFile(join(stack.mediaRoot, "out.mp4"));
  expect(createHash("sha256").update(data).digest("hex")).toBe(output?.sha256);
  // Nothing was made twice for it.
  expect(stack.host.stats().calls.started).toBe(1);
});
