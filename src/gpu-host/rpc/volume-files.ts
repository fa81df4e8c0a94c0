import { rm, stat } from "node:fs/promises";
import { invalidArgument, notFound } from "../failures.ts";
import type { Services } from "../services.ts";
import { blocksOfRange } from "../store/blocks.ts";
import { listFiles } from "../store/listing.ts";
import { isMissing } from "../store/uploads.ts";
import { normalizeVolumePath } from "../store/volume-paths.ts";
import type { Handlers, Request } from "../wire.ts";

/** Long enough for a slow line, and a client can always ask for a new one. */
const URL_TTL_MS = 60 * 60 * 1000;

/** Entries per message of a listing. */
const LIST_BATCH = 500;

type Names =
  | "volumeGetFile2"
  | "volumeListFiles"
  | "volumeListFiles2"
  | "volumeRemoveFile"
  | "volumeRemoveFile2";

export function volumeFileRpcs({ volumes, uploads, signer, httpUrl }: Services): Handlers<Names> {
  async function* list({ volumeId, path, recursive, maxEntries }: Request<"volumeListFiles2">) {
    const directory = volumes.directory(volumes.get(volumeId).id);
    const entries = await listFiles(directory, normalizeVolumePath(path), recursive);
    if (entries === undefined) throw notFound(path);
    const wanted = entries.slice(0, maxEntries || undefined);
    for (let start = 0; start < wanted.length; start += LIST_BATCH) {
      yield { entries: wanted.slice(start, start + LIST_BATCH) };
    }
  }

  async function remove({ volumeId, path, recursive }: Request<"volumeRemoveFile2">) {
    const file = volumes.directory(volumes.get(volumeId).id).file(namedPath(path));
    return await uploads.exclusively(volumeId, async () => {
      const status = await fileStatus(file, path);
      if (status.isDirectory() && !recursive) throw invalidArgument(`${path} is a directory`);
      await rm(file, { recursive: true });
      return {};
    });
  }

  return {
    async volumeGetFile2({ volumeId, path, start, len, clientPadsBlocks: pads }, context) {
      const file = volumes.directory(volumes.get(volumeId).id).file(namedPath(path));
      const status = await fileStatus(file, path);
      if (status.isDirectory()) throw invalidArgument(`${path} is a directory`);
      if (start > status.size) throw invalidArgument(`${path} has ${status.size} bytes, fewer than ${start}`);
      const length = len === 0 ? status.size - start : Math.min(len, status.size - start);
      // A reader must not get the blocks of another file that took its place meanwhile.
      const version = { inode: status.ino, mtimeMs: status.mtimeMs };
      const getUrls = blocksOfRange(start, length).map((block) => {
        const claims = { kind: "get", volumeId, path: namedPath(path), ...block, ...version, pads };
        return `${httpUrl(context)}/block/${signer.sign(claims, URL_TTL_MS)}`;
      });
      return { getUrls, size: status.size, start, len: length };
    },
    volumeListFiles: list,
    volumeListFiles2: list,
    volumeRemoveFile: remove,
    volumeRemoveFile2: remove,
  };
}

/** A path that must not be the volume itself. */
function namedPath(path: string): string {
  const normalized = normalizeVolumePath(path);
  if (normalized === "") throw invalidArgument("The path is empty");
  return normalized;
}

async function fileStatus(file: string, path: string) {
  try {
    return await stat(file);
  } catch (error) {
    if (isMissing(error)) throw notFound(path);
    throw error;
  }
}
