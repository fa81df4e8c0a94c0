/** What the host remembers across a restart. Times are milliseconds since the epoch. */
import type { ResultStatus } from "../enums.ts";

export interface AppRecord {
  readonly id: string;
  readonly name: string;
  readonly environment: string;
  readonly state: number;
  readonly createdAt: number;
  readonly deployedAt?: number;
  readonly stoppedAt?: number;
  readonly version: number;
  readonly functionIds: Readonly<Record<string, string>>;
}

export interface FunctionDefinition {
  readonly id: string;
  readonly moduleName: string;
  readonly attribute: string;
  readonly timeoutSecs: number;
}

export interface FunctionRecord {
  readonly id: string;
  readonly appId: string;
  readonly tag: string;
  readonly inputFormats: readonly number[];
  readonly outputFormats: readonly number[];
  /** Absent between FunctionPrecreate and FunctionCreate. */
  readonly definition?: FunctionDefinition;
}

export interface MountRecord {
  readonly id: string;
  readonly appId: string;
  readonly files: readonly { readonly path: string; readonly sha256: string; readonly mode: number }[];
  readonly checksum: string;
}

export interface ImageRecord {
  readonly id: string;
  readonly from: string;
  readonly builderVersion: string;
  readonly built: boolean;
}

export interface VolumeRecord {
  readonly id: string;
  readonly version: number;
  /** Empty for an ephemeral volume; only those expire. */
  readonly name: string;
  readonly environment: string;
  readonly createdAt: number;
  readonly state: "live" | "deleted" | "expired";
  readonly endedAt?: number;
}

export interface CallInput {
  readonly id: string;
  readonly idx: number;
  readonly dataFormat: number;
  /** Base64, or the ID of the blob that holds them. */
  readonly args?: string;
  readonly argsBlobId?: string;
}

export interface CallResult {
  readonly status: ResultStatus;
  readonly exception?: string;
  readonly traceback?: string;
  readonly exitCode?: number;
  readonly dataFormat: number;
  /** Base64, or the ID of the blob that holds it. */
  readonly data?: string;
  readonly dataBlobId?: string;
}

export type CallState = "open" | "queued" | "running" | "succeeded" | "failed" | "cancelled";

export interface CallRecord {
  readonly id: string;
  readonly functionId: string;
  readonly appId: string;
  readonly tag: string;
  readonly createdAt: number;
  readonly state: CallState;
  readonly input?: CallInput;
  readonly volumeId?: string;
  readonly path?: string;
  readonly startedAt?: number;
  readonly endedAt?: number;
  /** Absent until the call has ended, and again once a client had it cleared. */
  readonly result?: CallResult;
}
