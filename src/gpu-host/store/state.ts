import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import type { Log } from "../log.ts";
import { Collection } from "./collection.ts";
import { PowerMark } from "./power.ts";
import {
  type AppRecord,
  appSchema,
  type CallRecord,
  callSchema,
  type FunctionRecord,
  functionSchema,
  type ImageRecord,
  imageSchema,
  type InputRecord,
  inputSchema,
  type MountRecord,
  mountSchema,
  type VolumeRecord,
  volumeSchema,
} from "./records.ts";

/** Everything durable of one host: its records, its signing key and where its files live. */
export interface State {
  readonly apps: Collection<AppRecord>;
  readonly functions: Collection<FunctionRecord>;
  readonly mounts: Collection<MountRecord>;
  readonly images: Collection<ImageRecord>;
  readonly volumes: Collection<VolumeRecord>;
  readonly calls: Collection<CallRecord>;
  readonly inputs: Collection<InputRecord>;
  /** Signs URLs and session tokens; kept, so that they stay valid over a restart. */
  readonly key: Buffer;
  readonly power: PowerMark;
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
  /** A working directory per running input. */
  readonly scratch: string;
}

const KEY_BYTES = 32;

/** Opens the state in an absolute data folder, which is made where needed. */
export function openState(dataDir: string, log: Log, bootId: string | undefined): State {
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
  const unreadable = join(state, "unreadable");
  const open = <T extends { readonly id: string }>(name: string, schema: z.ZodType<T>) =>
    new Collection({ directory: join(state, name), schema, unreadable, log });
  return {
    apps: open("apps", appSchema),
    functions: open("functions", functionSchema),
    mounts: open("mounts", mountSchema),
    images: open("images", imageSchema),
    volumes: open("volumes", volumeSchema),
    calls: open("calls", callSchema),
    inputs: open("inputs", inputSchema),
    key: signingKey(join(state, "key"), log),
    power: new PowerMark(state, bootId),
    paths,
  };
}

/** A fresh ID in Modal's spelling, such as `vo-…`. */
export function newId(prefix: string): string {
  return `${prefix}-${randomBytes(11).toString("hex")}`;
}

/** Reads the key, or makes one. A key that a power cut left short is replaced, because it could be guessed. */
function signingKey(file: string, log: Log): Buffer {
  const known = readKey(file);
  if (known?.length === KEY_BYTES) return known;
  if (known !== undefined) log.warn({ file }, "the signing key is damaged; clients have to sign in again");
  writeFileSync(`${file}.new`, randomBytes(KEY_BYTES), { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
  return readFileSync(file);
}

function readKey(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return undefined;
  }
}
