import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { type ErrorCode, MirumojiError } from "../../job/errors.ts";
import { failureOf, type S3Object, storeTrouble } from "./s3-stores.ts";
import { changedInput, type RemoteSource } from "./source.ts";

/**
 * Asks for an object's first byte.
 *
 * @throws MirumojiError `INPUT_NOT_FOUND`, `INPUT_EMPTY`, `INPUT_UNREADABLE`, `STORE_REFUSED`, `STORE_UNAVAILABLE`
 */
export async function openS3Source(object: S3Object, signal: AbortSignal): Promise<RemoteSource> {
  const shown = `input ${JSON.stringify(object.shown)}`;
  const get = async (options: object, until: AbortSignal): Promise<GetObjectCommandOutput> => {
    try {
      const command = new object.lib.GetObjectCommand({ ...object.at, ...options });
      return await object.client.send(command, { abortSignal: until });
    } catch (error) {
      until.throwIfAborted();
      throw translated(shown, error);
    }
  };
  const first = await get({ Range: "bytes=0-0" }, signal);
  await first.Body?.transformToByteArray();
  const total = /\/(\d+)$/u.exec(first.ContentRange ?? "")?.[1];
  const sizeBytes = total === undefined ? (first.ContentLength ?? null) : Number(total);
  const etag = first.ETag;
  const read: RemoteSource["read"] = async (start, until) => {
    const answer = await get(
      {
        ...(start === 0 ? {} : { Range: `bytes=${start}-` }),
        ...(etag === undefined ? {} : { IfMatch: etag }),
      },
      until,
    );
    if (etag !== undefined && answer.ETag !== etag) throw changedInput(shown, "its ETag is a new one");
    return following(answer.Body as AsyncIterable<Uint8Array>, shown, until);
  };
  return {
    shown,
    identity: { sizeBytes, ...(etag === undefined ? {} : { etag }) },
    hasRanges: total !== undefined,
    read,
  };
}

async function* following(body: AsyncIterable<Uint8Array>, shown: string, signal: AbortSignal) {
  try {
    yield* body;
  } catch (error) {
    signal.throwIfAborted();
    throw storeTrouble(shown, error) ?? error;
  }
}

function translated(shown: string, error: unknown): unknown {
  const { name, status } = failureOf(error);
  if (status === 412) return changedInput(shown, "its ETag is a new one");
  const trouble = storeTrouble(shown, error);
  if (trouble !== null) return trouble;
  const [code, advice] = meaningOf(status);
  return new MirumojiError(code, `${shown}: the store answers ${name} (${status}); ${advice}`, {
    cause: error,
  });
}

function meaningOf(status: number | null): [ErrorCode, string] {
  if (status === 404) return ["INPUT_NOT_FOUND", "check the bucket and the key"];
  if (status === 416) return ["INPUT_EMPTY", "check how the object was written"];
  return ["INPUT_UNREADABLE", "let the connection's keys read it"];
}
