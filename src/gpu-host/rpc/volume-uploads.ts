import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { alreadyExists, failedPrecondition, invalidArgument } from "../failures.ts";
import type { CallContext } from "nice-grpc";
import type { Services } from "../services.ts";
import { blockCount, blockLength } from "../store/blocks.ts";
import { newId } from "../store/state.ts";
import type { PlannedFile } from "../store/staging.ts";
import { moveInto, type Upload } from "../store/uploads.ts";
import { normalizeFilePath } from "../store/volume-paths.ts";
import type { Handlers, Request } from "../wire.ts";

/** Long enough for a slow line; a client that comes later asks again and gets new URLs. */
const URL_TTL_MS = 60 * 60 * 1000;

const DEFAULT_MODE = 0o644;

/**
 * By this header our own client says that the blocks it names are a part of a file, of which it has not read the rest
 * yet: the index of the first, and the digest of the file's first block.
 */
const PART_HINT = "x-mirumoji-part";

type WantedFile = Request<"volumePutFiles2">["files"][number];

export function volumeUploadRpcs(services: Services): Handlers<"volumePutFiles" | "volumePutFiles2"> {
  const { volumes, uploads, contents, signer, httpUrl } = services;

  /** Changes a volume's files, one change at a time. Fails with NOT_FOUND when the volume goes meanwhile. */
  async function change<T>(volumeId: string, version: 1 | 2, action: () => Promise<T>): Promise<T> {
    const isVersion2 = volumes.get(volumeId).version === 2;
    if (isVersion2 !== (version === 2)) {
      throw failedPrecondition(`Volume ${volumeId} is not of version ${version}, as this upload needs`);
    }
    return await uploads.exclusively(volumeId, action).catch((error: unknown) => {
      volumes.get(volumeId);
      throw error;
    });
  }

  async function refuseExisting(volumeId: string, path: string): Promise<void> {
    const found = await stat(volumes.directory(volumeId).file(path)).catch(() => undefined);
    if (found !== undefined) throw alreadyExists(path);
  }

  function putUrl(base: string, volumeId: string, { id: uploadId, file }: Upload, index: number): string {
    const lengthBytes = blockLength(file.sizeBytes, index);
    const [place, digest] = [file.at + index, file.digests[index]];
    const claims = { kind: "put", volumeId, uploadId, index: place, lengthBytes, digest };
    return `${base}/block/${signer.sign(claims, URL_TTL_MS)}`;
  }

  /** Refuses a put response that was not our answer to this block's upload. */
  function checkPutResponses(volumeId: string, { blocks }: WantedFile): void {
    for (const { contentsSha256, putResponse } of blocks) {
      if (putResponse === undefined || putResponse.length === 0) continue;
      const claims = signer.open(Buffer.from(putResponse).toString());
      const isOurs = claims?.["kind"] === "put-response" && claims["volumeId"] === volumeId;
      if (!isOurs || claims["digest"] !== hex(contentsSha256)) {
        throw invalidArgument("A put_response does not belong to its block");
      }
    }
  }

  return {
    async volumePutFiles2({ volumeId, files, disallowOverwriteExistingFiles: keep }, context) {
      const part = partNamed(context);
      return await change(volumeId, 2, async () => {
        const durable = volumes.get(volumeId).name !== "";
        const planned: { upload: Upload; mode: number }[] = [];
        for (const file of files) {
          const plan = plannedFile(file, part);
          checkPutResponses(volumeId, file);
          if (keep) await refuseExisting(volumeId, plan.path);
          planned.push({ upload: await uploads.plan(volumeId, plan), mode: file.mode ?? DEFAULT_MODE });
        }
        const offer = (upload: Upload, fileIndex: number, missing: readonly number[]) =>
          missing.map((blockIndex) => {
            return { fileIndex, blockIndex, putUrl: putUrl(httpUrl(context), volumeId, upload, blockIndex) };
          });
        const missingBlocks = planned.flatMap(({ upload }, index) => offer(upload, index, upload.missing));
        if (missingBlocks.length > 0 || part !== undefined) return { missingBlocks };
        for (const [index, { upload, mode }] of planned.entries()) {
          const replaced = await uploads.commit(volumeId, upload, { mode, overwrite: !keep, durable });
          missingBlocks.push(...offer(upload, index, replaced));
        }
        return { missingBlocks };
      });
    },

    async volumePutFiles({ volumeId, files, disallowOverwriteExistingFiles: keep }) {
      return await change(volumeId, 1, async () => {
        const directory = volumes.directory(volumeId);
        const paths = files.map(({ filename }) => normalizeFilePath(filename));
        for (const path of keep ? paths : []) await refuseExisting(volumeId, path);
        for (const [index, { sha256Hex }] of files.entries()) {
          const path = paths[index] ?? "";
          const linked = join(directory.staging, newId("link"));
          await contents.linkTo(sha256Hex, linked);
          await moveInto(linked, directory.file(path), path, !keep);
          // A rename onto another name of the same content does nothing, and leaves the first name.
          await rm(linked, { force: true });
        }
        return {};
      });
    },
  };
}

/** The part that the header names; undefined without the header, when whole files are named. */
function partNamed({ metadata }: CallContext): Pick<PlannedFile, "at" | "fileStart"> | undefined {
  const hint = metadata.get(PART_HINT);
  if (hint === undefined) return undefined;
  const [, at, fileStart] = /^(\d{1,6}) ([0-9a-f]{64})$/.exec(hint) ?? [];
  if (at === undefined || fileStart === undefined)
    throw invalidArgument(`${PART_HINT} is not an index and a digest`);
  return { at: Number(at), fileStart };
}

function plannedFile(
  { path, size, blocks }: WantedFile,
  part?: Pick<PlannedFile, "at" | "fileStart">,
): PlannedFile {
  if (blocks.length !== blockCount(size)) {
    throw invalidArgument(`${path} has ${size} bytes, which are not ${blocks.length} blocks`);
  }
  const digests = blocks.map(({ contentsSha256 }) => {
    if (contentsSha256.length !== 32) throw invalidArgument("A contents_sha256 does not have 32 bytes");
    return hex(contentsSha256);
  });
  const { at, fileStart } = part ?? { at: 0, fileStart: digests[0] ?? "" };
  return { path: normalizeFilePath(path), at, fileStart, sizeBytes: size, digests };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
