import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { MirumojiError } from "../../job/errors.ts";
import { failureOf, type S3Object, storeTrouble } from "./s3-stores.ts";

/** Smallest part of a large object; a store takes 10,000 parts at most. */
const PART_BYTES = 8 * 1024 * 1024;
const MOST_PARTS = 10_000;
/** Parts that are sent at a time. */
const LANES = 3;
/** How long clearing away may take. */
const CLEAR_MS = 15_000;

/** An output that is there as a whole and goes into a store. */
export interface S3Upload {
  readonly jobId: string;
  readonly handle: FileHandle;
  readonly bytes: number;
  readonly sha256: string;
  readonly contentType: string;
  readonly overwrite: boolean;
  readonly signal: AbortSignal;
  /** Writes the ID of a multipart upload down before its first part is sent. */
  note(uploadId: string): Promise<void>;
}

/** An output that is in the store and has not got its name yet. */
export interface StagedObject {
  /** @throws MirumojiError `OUTPUT_WRITE_FAILED`, `STORE_REFUSED`, `STORE_UNAVAILABLE` */
  publish(): Promise<void>;
  /** Clears away what is not published. */
  drop(): Promise<void>;
}

/**
 * Looks for an object before the job costs anything.
 *
 * @throws MirumojiError `OUTPUT_EXISTS`, `OUTPUT_UNWRITABLE`, `STORE_REFUSED`, `STORE_UNAVAILABLE`
 */
export async function checkS3Output(
  object: S3Object,
  { jobId, overwrite, signal }: { jobId: string; overwrite: boolean; signal: AbortSignal },
): Promise<void> {
  const found = await head(object, signal);
  if (found === "denied") throw unwritable(object, "the store refuses the connection's keys here");
  if (found !== null && !overwrite && found.job !== markOf(jobId)) {
    throw new MirumojiError(
      "OUTPUT_EXISTS",
      `output ${JSON.stringify(object.shown)} is there already; name another, or say overwrite: true`,
    );
  }
  if (found !== null) return;
  try {
    const command = new object.lib.HeadBucketCommand({ Bucket: object.at.Bucket });
    await object.client.send(command, { abortSignal: signal });
  } catch (error) {
    signal.throwIfAborted();
    const trouble = storeTrouble(object.shown, error);
    if (trouble !== null) throw trouble;
    if (failureOf(error).status === 404) throw unwritable(object, "there is no such bucket");
  }
}

/** Sends a large output in parts; a small one when it gets its name. */
export async function stageS3Output(object: S3Object, upload: S3Upload): Promise<StagedObject> {
  const { bytes, handle, signal, jobId, sha256, contentType, overwrite } = upload;
  const { lib, client, at } = object;
  const about = {
    ...at,
    ContentType: contentType,
    Metadata: { "mirumoji-job": markOf(jobId), "mirumoji-sha256": sha256 },
  };
  const send = async <T>(work: () => Promise<T>): Promise<T> => await translating(object, signal, work);
  const publishing = async (give: (condition: object) => Promise<unknown>): Promise<void> => {
    if (!overwrite && (await isOwn(object, sha256, signal))) return;
    await send(async () => await unlessThere(object, { overwrite, sha256, signal }, give));
  };
  if (bytes <= PART_BYTES) {
    return {
      publish: async () => {
        const Body = await partOf(handle, 0, bytes);
        await publishing(
          async (condition) =>
            await client.send(new lib.PutObjectCommand({ ...about, Body, ...condition }), {
              abortSignal: signal,
            }),
        );
      },
      drop: async () => await Promise.resolve(),
    };
  }
  const { UploadId = "" } = await send(
    async () => await client.send(new lib.CreateMultipartUploadCommand(about), { abortSignal: signal }),
  );
  let isCompleted = false;
  const drop = async () => {
    if (!isCompleted) await abortS3Upload(object, UploadId);
  };
  try {
    await upload.note(UploadId);
    const parts = await send(async () => await sendParts(object, upload, UploadId));
    const publish = async () => {
      await publishing(async (condition) => {
        const whole = { ...at, UploadId, MultipartUpload: { Parts: parts }, ...condition };
        await client.send(new lib.CompleteMultipartUploadCommand(whole), { abortSignal: signal });
        isCompleted = true;
      });
    };
    return { publish, drop };
  } catch (error) {
    await drop();
    throw error;
  }
}

/** Ends an upload that was never finished. Only the upload itself is touched; nothing is thrown. */
export async function abortS3Upload({ lib, client, at }: S3Object, uploadId: string): Promise<void> {
  const command = new lib.AbortMultipartUploadCommand({ ...at, UploadId: uploadId });
  await client.send(command, { abortSignal: AbortSignal.timeout(CLEAR_MS) }).catch(() => undefined);
}

async function sendParts(
  { lib, client, at }: S3Object,
  { handle, bytes, signal }: S3Upload,
  UploadId: string,
): Promise<{ PartNumber: number; ETag: string | undefined }[]> {
  const size = Math.max(PART_BYTES, Math.ceil(bytes / MOST_PARTS));
  const numbers = Array.from({ length: Math.ceil(bytes / size) }, (_, index) => index + 1);
  const parts: { PartNumber: number; ETag: string | undefined }[] = [];
  const waiting = numbers.values();
  const lane = async (): Promise<void> => {
    for (const PartNumber of waiting) {
      const start = (PartNumber - 1) * size;
      const Body = await partOf(handle, start, Math.min(size, bytes - start));
      const command = new lib.UploadPartCommand({ ...at, UploadId, PartNumber, Body });
      const { ETag } = await client.send(command, { abortSignal: signal });
      parts.push({ PartNumber, ETag });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return parts.toSorted((a, b) => a.PartNumber - b.PartNumber);
}

async function partOf(handle: FileHandle, start: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(buffer, done, length - done, start + done);
    if (bytesRead === 0) throw new MirumojiError("OUTPUT_WRITE_FAILED", "the scratch file ends too early");
    done += bytesRead;
  }
  return buffer;
}

/** Gives an output its name if nothing has it, where the store can tell; others are asked just before. */
async function unlessThere(
  object: S3Object,
  { overwrite, sha256, signal }: { overwrite: boolean; sha256: string; signal: AbortSignal },
  give: (condition: object) => Promise<unknown>,
): Promise<void> {
  if (overwrite) return void (await give({}));
  try {
    await give({ IfNoneMatch: "*" });
  } catch (error) {
    const { status, name } = failureOf(error);
    if (status === 501 || name === "NotImplemented") return void (await give({}));
    if (status !== 412 && status !== 409) throw error;
    if (!(await isOwn(object, sha256, signal))) throw error;
  }
}

/**
 * Whether the object is there and is this output, which an earlier try has published.
 *
 * @throws MirumojiError `OUTPUT_WRITE_FAILED` when it is another one
 */
async function isOwn(object: S3Object, sha256: string, signal: AbortSignal): Promise<boolean> {
  const found = await head(object, signal);
  if (found === null || found === "denied") return false;
  if (found.sha256 === sha256) return true;
  throw new MirumojiError(
    "OUTPUT_WRITE_FAILED",
    `output ${JSON.stringify(object.shown)}: an object of this name appeared while the job ran; move it away, the result is kept`,
  );
}

type Found = { readonly job: string | undefined; readonly sha256: string | undefined };

async function head(object: S3Object, signal: AbortSignal): Promise<Found | "denied" | null> {
  try {
    const command = new object.lib.HeadObjectCommand(object.at);
    const { Metadata = {} } = await object.client.send(command, { abortSignal: signal });
    return { job: Metadata["mirumoji-job"], sha256: Metadata["mirumoji-sha256"] };
  } catch (error) {
    signal.throwIfAborted();
    const { status } = failureOf(error);
    if (status === 404) return null;
    if (status === 403) return "denied";
    throw storeTrouble(object.shown, error) ?? error;
  }
}

async function translating<T>(object: S3Object, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    const trouble = storeTrouble(object.shown, error);
    if (trouble !== null) throw trouble;
    const { name, status } = failureOf(error);
    throw new MirumojiError(
      "OUTPUT_WRITE_FAILED",
      `output ${JSON.stringify(object.shown)} cannot be written: the store answers ${name} (${status}); the result is kept`,
      { cause: error },
    );
  }
}

/** The job's name on its objects. */
function markOf(jobId: string): string {
  return createHash("sha256").update(jobId).digest("hex").slice(0, 32);
}

function unwritable({ shown }: S3Object, why: string): MirumojiError {
  return new MirumojiError("OUTPUT_UNWRITABLE", `output ${JSON.stringify(shown)} cannot be written: ${why}`);
}
