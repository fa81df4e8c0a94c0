import { expect, it } from "vitest";
import { MirumojiError } from "../../src/job/errors.ts";
import { type CaretakerOptions, startCaretaker } from "../../src/pool/caretaker.ts";
import type { LiveVolume } from "../../src/queue/ledger.ts";

const volume = (volumeId: string, jobId: string): LiveVolume => ({
  volumeId,
  queue: "convert",
  jobId,
  createdAt: 0,
  callId: `fc-${volumeId}`,
  appId: null,
});

/** A caretaker over volumes `live-…` and `left-…`, whose server does what the test says. */
function careFor(
  volumes: readonly LiveVolume[],
  server: { beat: (id: string) => Promise<void>; remove: (id: string) => Promise<void> },
  isAtFault: () => boolean = () => false,
  hold: () => Promise<boolean> = async () => await Promise.resolve(true),
) {
  let released = 0;
  const options = {
    ledger: {
      list: async () => await Promise.resolve([...volumes]),
      read: async () => await Promise.resolve({ volumes: [...volumes], unreadable: [] }),
      leftoverReason: async ({ volumeId }: LiveVolume) =>
        await Promise.resolve(volumeId.startsWith("left") ? "job is gone" : null),
      strike: async () => await Promise.resolve(),
    },
    volumes: {
      heartbeat: async ({ volumeId }: { volumeId: string }) => await server.beat(volumeId),
      delete: async ({ volumeId }: { volumeId: string }) => await server.remove(volumeId),
    },
    calls: { cancel: async () => await Promise.resolve() },
    apps: { heartbeat: async () => await Promise.resolve() },
    leadership: {
      hold,
      release: async () => {
        released += 1;
        await Promise.resolve();
      },
    },
    heartbeatMs: 5,
    now: () => 0,
    isAtFault,
    onReaped: () => undefined,
    tellEnded: async () => await Promise.resolve(),
    prune: async () => await Promise.resolve(),
    onError: () => undefined,
  } as unknown as CaretakerOptions;
  const caretaker = startCaretaker(options);
  return { released: () => released, stop: async () => await caretaker.stop() };
}

it("keeps volumes alive while the server takes for ever to remove others, a few at a time", async () => {
  const beats = new Map<string, number>();
  const removing: string[] = [];
  let removed = (): void => {};
  const hangs = new Promise<void>((resolve) => (removed = resolve));
  const live = Array.from({ length: 40 }, (_none, index) => volume(`live-${index}`, "j"));
  const left = Array.from({ length: 40 }, (_none, index) => volume(`left-${index}`, "gone"));
  const care = careFor([...live, ...left], {
    beat: async (id) => {
      beats.set(id, (beats.get(id) ?? 0) + 1);
      await Promise.resolve();
    },
    remove: async (id) => {
      removing.push(id);
      await hangs;
    },
  });
  await expect.poll(() => beats.get("live-39") ?? 0).toBeGreaterThan(5);
  expect(removing).toHaveLength(4);
  removed();
  await care.stop();
});

it("does not let one heartbeat without an answer hold up the others", async () => {
  const beaten = new Set<string>();
  let answer = (): void => {};
  const hangs = new Promise<void>((resolve) => (answer = resolve));
  const volumes = Array.from({ length: 100 }, (_none, index) => volume(`live-${index}`, "j"));
  const care = careFor(volumes, {
    beat: async (id) => {
      if (id === "live-0") await hangs;
      beaten.add(id);
    },
    remove: async () => await Promise.resolve(),
  });
  await expect.poll(() => beaten.size).toBe(99);
  answer();
  await care.stop();
});

it.each(["refuses writes", "is silent"])("keeps volumes alive while Redis %s", async (how) => {
  let answer: (isHeld: boolean) => void = () => undefined;
  const troubled = async () => {
    if (how === "refuses writes") throw new MirumojiError("REDIS_OUT_OF_MEMORY", "full");
    return await new Promise<boolean>((resolve) => (answer = resolve));
  };
  let holds = 0;
  let beats = 0;
  const server = {
    beat: async () => {
      beats += 1;
      await Promise.resolve();
    },
    remove: async () => await Promise.resolve(),
  };
  const care = careFor([volume("live-1", "j")], server, undefined, async () => {
    holds += 1;
    return holds === 1 ? true : await troubled();
  });
  await expect.poll(() => holds).toBeGreaterThan(1);
  const before = beats;
  await expect.poll(() => beats).toBeGreaterThan(before + 3);
  answer(false);
  await care.stop();
});

it("leaves its office when its worker cannot work with Modal", async () => {
  let isBeaten = false;
  const server = {
    beat: async () => {
      isBeaten = true;
      await Promise.resolve();
    },
    remove: async () => await Promise.resolve(),
  };
  const care = careFor([volume("live-1", "j")], server, () => true);
  await expect.poll(care.released).toBeGreaterThan(2);
  await care.stop();
  expect(isBeaten).toBe(false);
});
