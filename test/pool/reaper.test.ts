import { expect, it } from "vitest";
import { MirumojiError } from "../../src/job/errors.ts";
import { reap, type ReaperTools } from "../../src/pool/reaper.ts";
import type { LiveVolume } from "../../src/queue/ledger.ts";

const volume = (volumeId: string, callId: string | null): LiveVolume => ({
  volumeId,
  queue: "convert",
  jobId: "j1",
  createdAt: 0,
  callId,
  appId: null,
});

it("cancels the call, deletes the volume and only then strikes the record; one failure stops no other", async () => {
  const log: string[] = [];
  const step = async (line: string) => {
    log.push(line);
    if (line === "delete vo-1") throw new MirumojiError("MODAL_UNAVAILABLE", "the server is away");
    await Promise.resolve();
  };
  const tools = {
    calls: { cancel: async ({ callId }: { callId: string }) => await step(`cancel ${callId}`) },
    volumes: { delete: async ({ volumeId }: { volumeId: string }) => await step(`delete ${volumeId}`) },
    ledger: { strike: async ({ volumeId }: { volumeId: string }) => await step(`strike ${volumeId}`) },
    signal: new AbortController().signal,
  } as unknown as ReaperTools;
  const leftovers = [volume("vo-1", "fc-1"), volume("vo-2", null)].map((live) => ({
    volume: live,
    reason: "job is gone" as const,
    problem: null,
  }));
  const reaped = await reap(tools, leftovers);
  const about = (id: string) => log.filter((line) => line.endsWith(id));
  expect(log).toHaveLength(4);
  expect(log.indexOf("cancel fc-1")).toBeLessThan(log.indexOf("delete vo-1"));
  expect([about("vo-1"), about("vo-2")]).toEqual([["delete vo-1"], ["delete vo-2", "strike vo-2"]]);
  expect(reaped.map(({ problem }) => problem)).toEqual(["MODAL_UNAVAILABLE: the server is away", null]);
});
