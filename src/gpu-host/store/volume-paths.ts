import { join } from "node:path";
import { invalidArgument } from "../failures.ts";

/** Limits of file systems. */
const MAX_NAME_BYTES = 255;

/** A path inside a volume: relative, with single slashes; what would leave the volume is refused. */
export function normalizeVolumePath(path: string): string {
  if (path.includes("\0")) throw invalidArgument("A path holds a NUL");
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw invalidArgument(`${path} leaves the volume`);
  if (parts.some((part) => Buffer.byteLength(part) > MAX_NAME_BYTES)) {
    throw invalidArgument(`${path} holds a name of more than ${MAX_NAME_BYTES} bytes`);
  }
  return parts.join("/");
}

/** The path of a file to write, which needs a name. */
export function normalizeFilePath(path: string): string {
  const normalized = normalizeVolumePath(path);
  if (normalized === "" || path.endsWith("/")) throw invalidArgument(`${path} does not name a file`);
  return normalized;
}

/** Where a volume keeps things on this machine. */
export class VolumeDirectory {
  readonly root: string;
  readonly files: string;
  readonly staging: string;
  readonly manifests: string;

  constructor(volumesPath: string, volumeId: string) {
    this.root = join(volumesPath, volumeId);
    this.files = join(this.root, "files");
    this.staging = join(this.root, "staging");
    this.manifests = join(this.root, "manifests");
  }

  /** The file behind a normalised path. */
  file(path: string): string {
    return join(this.files, path);
  }
}
