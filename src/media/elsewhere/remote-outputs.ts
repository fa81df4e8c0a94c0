import { MirumojiError } from "../../job/errors.ts";
import type { OutputFile, OutputUpload } from "../../job/facts.ts";
import type { PlannedOutput } from "../../job/paths.ts";
import { placeOf, shownPlace } from "../../job/places.ts";
import { storageError } from "../../job/storage-errors.ts";
import type { Outbound } from "../../net/outbound.ts";
import type { MediaFiles, OutputToWrite } from "../../ports/media.ts";
import { hashFile } from "../hash-file.ts";
import { putToUrl } from "./put-url.ts";
import { abortS3Upload, checkS3Output, type StagedObject, stageS3Output } from "./s3-output.ts";
import type { S3Stores } from "./s3-stores.ts";
import { openScratch, type Scratch } from "./scratch.ts";

/** Ways to other machines. */
export interface Ways {
  readonly outbound: Outbound;
  readonly stores: S3Stores;
}

/** In the place of a store's ID: a file was sent to a signed URL. */
const SENT = "sent";

type CheckOptions = Parameters<MediaFiles["checkOutputs"]>[0];
type WriteOptions = Parameters<MediaFiles["writeOutputs"]>[0];

/** Checks outputs that lie elsewhere, as far as that can be done without writing; gives their places as they are shown. */
export async function checkRemoteOutputs(
  { outbound, stores }: Ways,
  { outputs, jobId, overwrite, signal }: CheckOptions,
): Promise<string[]> {
  const places: string[] = [];
  for (const { path } of outputs) {
    const place = placeOf(path, "output");
    if (place.kind === "url") outbound.check(place.url.href);
    else await checkS3Output(await stores.find(place), { jobId, overwrite, signal });
    places.push(shownPlace(path));
  }
  return places;
}

/**
 * Writes outputs elsewhere: each is made as a whole in a scratch file, all are sent, and when all have arrived they get
 * their names. A worker that dies on the way leaves no object; its upload is ended by the next try.
 *
 * @throws MirumojiError `OUTPUT_WRITE_FAILED`, `OUTPUT_EXISTS`, `OUTPUT_URL_DENIED`, `STORE_REFUSED`, `STORE_UNAVAILABLE`,
 * `TRANSFER_CORRUPT`, `DISK_FULL`, the signal's reason and whatever `fill` throws
 */
export async function writeRemoteOutputs(
  ways: Ways,
  scratchFolder: string,
  options: WriteOptions,
): Promise<OutputFile[]> {
  await abortUploads(ways, options.uploads?.begun ?? []);
  const scratches: Scratch[] = [];
  const staged: StagedObject[] = [];
  try {
    const written: OutputFile[] = [];
    for (const wanted of options.outputs) {
      const scratch = await openScratch(scratchFolder);
      scratches.push(scratch);
      const made = await makeOutput(scratch, wanted, options.signal);
      written.push({ path: shownPlace(wanted.output.path), format: wanted.output.format, ...made });
      staged.push(await stage(ways, { ...made, scratch, output: wanted.output }, options));
    }
    for (const one of staged) {
      options.signal.throwIfAborted();
      await one.publish();
    }
    return written;
  } catch (error) {
    throw storageError("the scratch file of an output", error) ?? error;
  } finally {
    for (const one of staged) await one.drop();
    for (const scratch of scratches) await scratch[Symbol.asyncDispose]();
  }
}

/** Ends uploads that an earlier try has begun. */
export async function abortUploads({ stores }: Ways, uploads: readonly OutputUpload[]): Promise<void> {
  for (const { path, id } of uploads) {
    if (id === SENT) continue;
    const place = placeOf(path, "output");
    if (place.kind === "object") await abortS3Upload(await stores.find(place), id);
  }
}

async function makeOutput(
  { handle, path }: Scratch,
  { output, fill, sha256: wanted }: OutputToWrite,
  signal: AbortSignal,
): Promise<{ bytes: number; sha256: string }> {
  await fill(handle);
  signal.throwIfAborted();
  const made = await hashFile(path);
  if (wanted === undefined || made.sha256 === wanted) return made;
  throw new MirumojiError(
    "TRANSFER_CORRUPT",
    `what arrived for ${JSON.stringify(shownPlace(output.path))} is not what was made beside the GPU`,
  );
}

interface Made {
  readonly scratch: Scratch;
  readonly output: PlannedOutput;
  readonly bytes: number;
  readonly sha256: string;
}

async function stage(
  { outbound, stores }: Ways,
  { scratch: { handle }, output, bytes, sha256 }: Made,
  { jobId, overwrite, uploads, signal }: WriteOptions,
): Promise<StagedObject> {
  const place = placeOf(output.path, "output");
  const shown = shownPlace(output.path);
  const note = async (id: string) => await uploads?.note({ path: shown, id });
  if (place.kind === "object") {
    const object = await stores.find(place);
    const contentType = output.format === "mp4" ? "video/mp4" : "text/plain; charset=utf-8";
    return await stageS3Output(object, {
      jobId,
      handle,
      bytes,
      sha256,
      contentType,
      overwrite,
      signal,
      note,
    });
  }
  const wasSent = uploads?.begun.some(({ path, id }) => path === shown && id === SENT) ?? false;
  return {
    publish: async () => {
      if (!wasSent) await note(SENT);
      await putToUrl(outbound, { url: place.url, handle, bytes, overwrite, wasSent, signal });
    },
    drop: async () => await Promise.resolve(),
  };
}
