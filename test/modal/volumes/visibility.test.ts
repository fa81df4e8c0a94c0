import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClientError, Status } from "nice-grpc";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { modalVolumes } from "../../../src/modal/volumes/volumes.ts";
import { scriptedSession } from "../../helpers/modal/scripted-session.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mirumoji-visible-"));
  await writeFile(join(folder, "four"), "four");
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(folder, { recursive: true });
});

const notFound = new ClientError("/VolumeListFiles2", Status.NOT_FOUND, "no such file");
const listed = (path: string, size: number): object => ({ entries: [{ path, type: 1, size }] });

/** Uploads a file of four bytes into a volume that lists what `look` says, look by look. */
async function uploadSeen(
  look: (count: number) => object,
  heartbeat: () => Promise<object> = async () => ({}),
) {
  const looksAt: number[] = [];
  const startedAt = Date.now();
  const session = scriptedSession({
    volumePutFiles2: async () => ({ missingBlocks: [] }),
    volumeHeartbeat: heartbeat,
    volumeListFiles2: async function* () {
      looksAt.push(Date.now() - startedAt);
      const seen = look(looksAt.length);
      if (seen instanceof Error) throw seen;
      yield seen;
    },
  });
  const { signal } = new AbortController();
  const localPath = join(folder, "four");
  const uploading = modalVolumes(session).putFile({
    volumeId: "vo-1",
    remotePath: "/a/in.mkv",
    localPath,
    signal,
  });
  const over = new AbortController();
  const outcome = uploading
    .then(
      () => "visible",
      (error: unknown) => error,
    )
    .finally(() => over.abort());
  // File reads are real and take however long they take; time only has to pass in between.
  while (!over.signal.aborted) {
    await new Promise((resolve) => setImmediate(resolve));
    await vi.advanceTimersByTimeAsync(1_000);
  }
  return { outcome: await outcome, looksAt };
}

describe("an upload is done when the volume lists it with its size", () => {
  test("which may take a while", async () => {
    const { outcome, looksAt } = await uploadSeen((count) => {
      if (count === 1) return { entries: [] };
      if (count === 2) return notFound;
      return listed("a/in.mkv", count === 3 ? 3 : 4);
    });
    expect(outcome).toBe("visible");
    const [first = 0] = looksAt;
    expect(looksAt.map((at) => Math.round((at - first) / 1000))).toEqual([0, 2, 12, 42]);
  });

  test("and has failed when it never does", async () => {
    const { outcome, looksAt } = await uploadSeen(() => listed("a/in.mkv", 3));
    expect(outcome).toMatchObject({
      code: "TRANSFER_FAILED",
      message: expect.stringContaining("listed with 3 bytes"),
    });
    expect(looksAt).toHaveLength(4);
  });

  test("and knows at once when the volume is gone", async () => {
    const { outcome, looksAt } = await uploadSeen(
      () => notFound,
      async () => {
        throw notFound;
      },
    );
    expect(outcome).toMatchObject({ code: "VOLUME_LOST" });
    expect(looksAt).toHaveLength(1);
  });
});
