import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Collection } from "./collection.ts";
import type {
  AppRecord,
  CallRecord,
  FunctionRecord,
  ImageRecord,
  MountRecord,
  VolumeRecord,
} from "./records.ts";

/** Everything durable of one host: its records, its signing key and where its files live. */
export interface State {
  readonly apps: Collection<AppRecord>;
  readonly functions: Collection<FunctionRecord>;
  readonly mounts: Collection<MountRecord>;
  readonly images: Collection<ImageRecord>;
  readonly volumes: Collection<VolumeRecord>;
  readonly calls: Collection<CallRecord>;
  /** Signs URLs and session tokens; kept, so that what was handed out survives a restart. */
  readonly key: Buffer;
  readonly paths: Paths;
}

export interface Paths {
  /** `<volume>/files` and `<volume>/staging` per volume. */
  readonly volumes: string;
  /** Mounted files, one tree per function definition. */
  readonly functions: string;
  /** Uploaded file contents by SHA-256. */
  readonly contents: string;
  readonly blobs: string;
  /** A working directory per running call. */
  readonly scratch: string;
}

export function openState(dataDir: string): State {
  const state = join(dataDir, "state");
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const paths: Paths = {
    volumes: join(dataDir, "volumes"),
    functions: join(dataDir, "functions"),
    contents: join(dataDir, "contents"),
    blobs: join(dataDir, "blobs"),
    scratch: join(dataDir, "scratch"),
  };
  for (const path of Object.values(paths)) mkdirSync(path, { recursive: true });
  return {
    apps: new Collection(join(state, "apps")),
    functions: new Collection(join(state, "functions")),
    mounts: new Collection(join(state, "mounts")),
    images: new Collection(join(state, "images")),
    volumes: new Collection(join(state, "volumes")),
    calls: new Collection(join(state, "calls")),
    key: signingKey(join(state, "key")),
    paths,
  };
}

/** A fresh ID in Modal's spelling, such as `vo-…`. */
export function newId(prefix: string): string {
  return `${prefix}-${randomBytes(11).toString("hex")}`;
}

function signingKey(file: string): Buffer {
  try {
    writeFileSync(file, randomBytes(32), { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  return readFileSync(file);
}
