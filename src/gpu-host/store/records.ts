/** State that survives a restart of the host. Times are milliseconds since the epoch. */
import { z } from "zod";

export const appSchema = z.object({
  id: z.string(),
  name: z.string(),
  environment: z.string(),
  state: z.number(),
  createdAt: z.number(),
  deployedAt: z.number().optional(),
  stoppedAt: z.number().optional(),
  version: z.number(),
  functionIds: z.record(z.string(), z.string()),
});
export type AppRecord = Stored<typeof appSchema>;

const definitionSchema = z.object({
  id: z.string(),
  moduleName: z.string(),
  /** Name of the function in its module. */
  attribute: z.string(),
  timeoutSecs: z.number(),
  imageId: z.string(),
  resources: z.object({
    milliCpu: z.number(),
    memoryMb: z.number(),
    gpuType: z.string(),
    gpuCount: z.number(),
  }),
  /** Volumes that the function has at a path; without this field in records of older versions. */
  volumes: z.array(z.object({ volumeId: z.string(), path: z.string() })).optional(),
});
export type FunctionDefinition = Stored<typeof definitionSchema>;

export const functionSchema = z.object({
  id: z.string(),
  appId: z.string(),
  tag: z.string(),
  inputFormats: z.array(z.number()),
  outputFormats: z.array(z.number()),
  /** Absent between FunctionPrecreate and FunctionCreate. */
  definition: definitionSchema.optional(),
});
export type FunctionRecord = Stored<typeof functionSchema>;

export const mountSchema = z.object({
  id: z.string(),
  appId: z.string(),
  files: z.array(z.object({ path: z.string(), sha256: z.string(), mode: z.number() })),
  checksum: z.string(),
});
export type MountRecord = Stored<typeof mountSchema>;

export const imageSchema = z.object({
  id: z.string(),
  from: z.string(),
  builderVersion: z.string(),
  built: z.boolean(),
});
export type ImageRecord = Stored<typeof imageSchema>;

export const volumeSchema = z.object({
  id: z.string(),
  version: z.number(),
  /** Empty for an ephemeral volume; only those expire. */
  name: z.string(),
  environment: z.string(),
  createdAt: z.number(),
  state: z.enum(["live", "deleted", "expired"]),
  endedAt: z.number().optional(),
});
export type VolumeRecord = Stored<typeof volumeSchema>;

export const callSchema = z.object({
  id: z.string(),
  functionId: z.string(),
  appId: z.string(),
  tag: z.string(),
  createdAt: z.number(),
  /** A unary call has at most one input. */
  isMap: z.boolean(),
  /** Set when the call was cancelled: it takes no more inputs. */
  cancelledAt: z.number().optional(),
});
export type CallRecord = Stored<typeof callSchema>;

const resultSchema = z.object({
  status: z.number(),
  exception: z.string().optional(),
  traceback: z.string().optional(),
  exitCode: z.number().optional(),
  dataFormat: z.number(),
  /** Base64, or the ID of the blob that holds it. */
  data: z.string().optional(),
  dataBlobId: z.string().optional(),
});
export type CallResult = Stored<typeof resultSchema>;

const inputStateSchema = z.enum(["queued", "running", "succeeded", "failed", "cancelled"]);
export type InputState = z.infer<typeof inputStateSchema>;

export const inputSchema = z.object({
  id: z.string(),
  callId: z.string(),
  /** Place of the input in its call. */
  idx: z.number(),
  dataFormat: z.number(),
  /** Base64, or the ID of the blob that holds them. */
  args: z.string().optional(),
  argsBlobId: z.string().optional(),
  volumeId: z.string().optional(),
  path: z.string().optional(),
  state: inputStateSchema,
  createdAt: z.number(),
  startedAt: z.number().optional(),
  endedAt: z.number().optional(),
  /** Place of the output among those of the call; set when the input has ended. */
  entryId: z.string().optional(),
  /** Absent until the input has ended, and again once a client had it cleared. */
  result: resultSchema.optional(),
});
export type InputRecord = Stored<typeof inputSchema>;

/** An input as a client sends it. */
export type GivenInput = Pick<InputRecord, "idx" | "dataFormat" | "args" | "argsBlobId">;

/** The volume and the path that an input works on, where they are known. */
export type InputTarget = Pick<InputRecord, "volumeId" | "path">;

type Stored<Schema extends z.ZodType> = Readonly<z.infer<Schema>>;
