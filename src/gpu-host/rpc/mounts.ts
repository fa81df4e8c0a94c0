import { createHash } from "node:crypto";
import { CreationType } from "../enums.ts";
import { failedPrecondition, invalidArgument, notFound, notServed } from "../failures.ts";
import type { Services } from "../services.ts";
import type { MountRecord } from "../store/records.ts";
import { newId } from "../store/state.ts";
import { normalizeFilePath } from "../store/volume-paths.ts";
import type { Handlers } from "../wire.ts";

/**
 * The mount with Modal's own package, one for each version of the Python SDK. Here `python/modal` stands in for all of
 * them, so that any version will do from the oldest that docs/conformance.md has on.
 */
const CLIENT_MOUNT = /^modal-client-mount-1\.(\d+)\.\w+(?:\.\w+)*$/;
const OLDEST_MINOR = 5;

type Names = "mountGetOrCreate" | "mountBatchedCheckExistence" | "mountPutFile";

export function mountRpcs({ state, contents, blobs, apps }: Services): Handlers<Names> {
  return {
    async mountGetOrCreate(request) {
      const { deploymentName, objectCreationType, files, appId } = request;
      if (objectCreationType === CreationType.LOOKUP) {
        if (!isClientMountName(deploymentName)) throw notFound(`Mount ${deploymentName}`);
        return answer({ id: `mo-${deploymentName}`, files: [], checksum: sha256(deploymentName) });
      }
      if (objectCreationType !== CreationType.OWNED_BY_APP) throw notServed("mounts that outlive their app");
      apps.running(appId);
      const mounted = files.map(({ filename, sha256Hex, mode }) => {
        return { path: normalizeFilePath(filename), sha256: sha256Hex, mode: mode ?? 0o644 };
      });
      for (const { path, sha256: digest } of mounted) {
        if (!(await contents.has(digest))) throw failedPrecondition(`${path} was not uploaded`);
      }
      const checksum = sha256(JSON.stringify(mounted));
      return answer(state.mounts.put({ id: newId("mo"), appId, files: mounted, checksum }));
    },

    async mountBatchedCheckExistence({ sha256HexHashes }) {
      const known = await Promise.all(sha256HexHashes.map((digest) => contents.has(digest)));
      return { missingSha256HexHashes: sha256HexHashes.filter((_, index) => known[index] !== true) };
    },

    async mountPutFile({ sha256Hex, data, dataBlobId }) {
      if (await contents.has(sha256Hex)) return { exists: true };
      if (dataBlobId !== undefined) {
        await blobs.sizeBytes(dataBlobId);
        await contents.adopt(sha256Hex, blobs.file(dataBlobId));
      } else if (data !== undefined) {
        await contents.put(sha256Hex, data);
      } else {
        return { exists: false };
      }
      return { exists: true };
    },
  };
}

/** Whether a mount is one that brings no files of its own here. */
export function isClientMount(mountId: string): boolean {
  return isClientMountName(mountId.replace(/^mo-/, ""));
}

function isClientMountName(name: string): boolean {
  const minor = CLIENT_MOUNT.exec(name)?.[1];
  return minor !== undefined && Number(minor) >= OLDEST_MINOR;
}

export function requireMount(state: Services["state"], id: string): MountRecord {
  const mount = state.mounts.get(id);
  if (mount === undefined) throw invalidArgument(`There is no mount ${id}`);
  return mount;
}

function answer(mount: Omit<MountRecord, "appId">) {
  return { mountId: mount.id, handleMetadata: { contentChecksumSha256Hex: mount.checksum } };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
