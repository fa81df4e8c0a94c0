import { randomBytes } from "node:crypto";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MirumojiError, toMirumojiError } from "../../job/errors.ts";
import { sleep } from "../rpc/abort.ts";
import { BLOCK_BYTES, sha256 } from "../transfers/blocks.ts";
import { statusOf } from "../rpc/grpc-errors.ts";
import { unary } from "../rpc/rpc.ts";
import { modalVolumes } from "../volumes/volumes.ts";
import { VOLUME_VERSION_2 } from "../rpc/wire.ts";
import { type CanaryRun, type CanaryStep, insisting, need } from "./step.ts";
import { visibleLifetime } from "./url-lifetime.ts";

export const CANARY_FILE = "canary/file";
/** Small content that ends in zeros, which the transfer strips and restores. */
export const CANARY_BYTES = Buffer.concat([randomBytes(64 * 1024), Buffer.alloc(4096)]);

/** Number of blocks above what memory holds at once, so that the file is named in parts; few bytes of each are sent. */
const PARTS_BLOCKS = 20;
const PARTS_BLOCK_BYTES = 16;
const PARTS_BYTES = PARTS_BLOCKS * PARTS_BLOCK_BYTES;

export const VOLUME_STEPS: readonly CanaryStep[] = [
  {
    name: "volume",
    run: async (run, signal) => {
      const volumes = modalVolumes(run.session);
      const { volumeId } = await volumes.create({ signal });
      run.volumeId = volumeId;
      const startedAt = performance.now();
      await volumes.heartbeat({ volumeId, signal });
      const heartbeatMs = Math.round(performance.now() - startedAt);
      return { volume: volumeId, version: VOLUME_VERSION_2, "heartbeat answered in, ms": heartbeatMs };
    },
  },
  {
    name: "put",
    run: async (run, signal) => {
      const volumeId = need(run, "volumeId");
      const { putUrl } = await offeredUrl(run, signal);
      const sent = await inScratch(async (folder) => {
        const localPath = join(folder, "in");
        await writeFile(localPath, CANARY_BYTES);
        const file = { volumeId, remotePath: CANARY_FILE, localPath, signal };
        return await modalVolumes(run.session).putFile(file);
      });
      return {
        bytes: sent.sizeBytes,
        "bytes sent": sent.sentBytes,
        "put URL lives, s": visibleLifetime(putUrl, Date.now()),
      };
    },
  },
  {
    name: "put in parts",
    run: async (run, signal) => {
      const sent = await inScratch(async (folder) => {
        const localPath = join(folder, "in");
        await writeSparse(localPath);
        const file = { volumeId: need(run, "volumeId"), remotePath: "canary/parts", localPath, signal };
        return await modalVolumes(run.session).putFile(file);
      });
      if (sent.sentBytes !== PARTS_BYTES) {
        throw new MirumojiError(
          "MODAL_REFUSED",
          `${sent.sentBytes} bytes were sent instead of ${PARTS_BYTES}: blocks that were named as a part of a file had to be sent again with all of it, so that large uploads cost twice`,
        );
      }
      return { blocks: PARTS_BLOCKS, "sent once": true };
    },
  },
  {
    name: "get",
    run: async (run, signal) => {
      const volumeId = need(run, "volumeId");
      const request = { volumeId, path: CANARY_FILE };
      const { getUrls } = await unary(run.session, "volumeGetFile2", request, { signal });
      const file = { volumeId, remotePath: CANARY_FILE, maxBytes: CANARY_BYTES.length, signal };
      const bytes = await modalVolumes(run.session).readFile(file);
      if (!bytes.equals(CANARY_BYTES)) {
        throw new MirumojiError(
          "TRANSFER_CORRUPT",
          `${CANARY_FILE} came back with other bytes than were sent`,
        );
      }
      const [url] = getUrls;
      return {
        "same bytes": true,
        "get URL lives, s": url === undefined ? "no URL" : visibleLifetime(url, Date.now()),
      };
    },
  },
  {
    name: "unknown volume",
    run: async ({ session }, signal) => {
      const volumeId = `vo-${randomBytes(11).toString("hex")}`;
      try {
        await unary(session, "volumeDelete", { volumeId }, { signal });
        return { "VolumeDelete of an unknown ID": "OK" };
      } catch (thrown) {
        const status = statusOf(thrown);
        if (status === undefined || toMirumojiError(thrown).kind !== "defect") throw thrown;
        return { "VolumeDelete of an unknown ID": status };
      }
    },
  },
];

const GONE_AFTER_MS = [0, 1_000, 4_000];

/** Deletes the volume and verifies that it is gone. */
export const DELETE_VOLUME: CanaryStep = {
  name: "delete volume",
  run: async ({ session, volumeId }, signal) => {
    if (volumeId === undefined) return { nothing: "to do" };
    await insisting(
      `volume ${volumeId} could not be deleted; it expires when its heartbeats stay away`,
      signal,
      async () => await modalVolumes(session).delete({ volumeId, signal }),
    );
    for (const delayMs of GONE_AFTER_MS) {
      await sleep(delayMs, signal);
      const found = await unary(session, "volumeGetById", { volumeId }, { signal }).catch(
        (thrown: unknown) => {
          if (statusOf(thrown) === "NOT_FOUND") return null;
          throw thrown;
        },
      );
      if (found === null) return { volume: volumeId, "gone after, ms": delayMs };
    }
    throw new MirumojiError("MODAL_REFUSED", `volume ${volumeId} was deleted and is still there`);
  },
};

/** Requests the URL of a block that is never sent, to inspect it. */
async function offeredUrl(run: CanaryRun, signal: AbortSignal): Promise<{ putUrl: string }> {
  const contentsSha256 = await sha256(randomBytes(32));
  const { missingBlocks } = await unary(
    run.session,
    "volumePutFiles2",
    {
      volumeId: need(run, "volumeId"),
      files: [{ path: "canary/never-sent", size: 32, blocks: [{ contentsSha256 }] }],
    },
    { signal },
  );
  const [missing] = missingBlocks;
  if (missing === undefined) {
    throw new MirumojiError("MODAL_REFUSED", "Modal VolumePutFiles2: a block that nobody has is not missed");
  }
  return { putUrl: missing.putUrl };
}

/** Blocks of a few bytes followed by zeros; sparse on disk as well. */
async function writeSparse(path: string): Promise<void> {
  await using file = await open(path, "w");
  for (let index = 0; index < PARTS_BLOCKS; index++) {
    const bytes = Buffer.alloc(PARTS_BLOCK_BYTES, index + 1);
    await file.write(bytes, 0, bytes.length, index * BLOCK_BYTES);
  }
}

async function inScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-canary-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
