import type * as S3 from "@aws-sdk/client-s3";
import type { S3Connection } from "../../config/s3-connections.ts";
import { MirumojiError } from "../../job/errors.ts";
import type { Place } from "../../job/places.ts";

/** The AWS SDK, loaded with the first job that needs it. */
export type S3Library = (typeof S3)["default"];
export type ObjectPlace = Extract<Place, { kind: "object" }>;

/** An object's place with what speaks to its store. */
export interface S3Object {
  readonly lib: S3Library;
  readonly client: S3.S3Client;
  /** Parameters of every request about it. */
  readonly at: { readonly Bucket: string; readonly Key: string };
  /** `s3://connection/bucket/key` */
  readonly shown: string;
}

export interface S3Stores {
  /** @throws MirumojiError `CONNECTION_UNKNOWN` */
  find(place: ObjectPlace): Promise<S3Object>;
  close(): void;
}

/** Longest waits for a connection and for the next byte. */
const CONNECT_MS = 10_000;
const SILENCE_MS = 30_000;

export function openS3Stores(connections: Readonly<Record<string, S3Connection>>): S3Stores {
  const clients = new Map<string, S3.S3Client>();
  return {
    async find({ connection: name, bucket, key }) {
      const connection = Object.hasOwn(connections, name) ? connections[name] : undefined;
      if (connection === undefined) {
        throw unknown(
          `there is no connection ${JSON.stringify(name)}; the operator has set up: ${namesOf(connections)}`,
        );
      }
      if (connection.buckets !== undefined && !connection.buckets.includes(bucket)) {
        throw unknown(`the connection ${name} is not for the bucket ${JSON.stringify(bucket)}`);
      }
      // In a bundle it has no other export.
      const { default: lib } = await import("@aws-sdk/client-s3");
      const client = clients.get(name) ?? new lib.S3Client(settings(connection));
      clients.set(name, client);
      return { lib, client, at: { Bucket: bucket, Key: key }, shown: `s3://${name}/${bucket}/${key}` };
    },
    close: () => {
      for (const client of clients.values()) client.destroy();
    },
  };
}

function settings(connection: S3Connection) {
  const { endpoint, region, accessKeyId, secretAccessKey, sessionToken, pathStyle } = connection;
  const hasKeys = accessKeyId !== undefined && secretAccessKey !== undefined;
  return {
    region: region === "auto" && endpoint === undefined ? "us-east-1" : region,
    forcePathStyle: pathStyle ?? endpoint !== undefined,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(hasKeys
      ? {
          credentials: {
            accessKeyId,
            secretAccessKey,
            ...(sessionToken === undefined ? {} : { sessionToken }),
          },
        }
      : {}),
    // Other stores than Amazon's know no checksums of their newer kinds.
    requestChecksumCalculation: "WHEN_REQUIRED" as const,
    responseChecksumValidation: "WHEN_REQUIRED" as const,
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
  };
}

function namesOf(connections: Readonly<Record<string, S3Connection>>): string {
  return Object.keys(connections).join(", ") || "none";
}

function unknown(message: string): MirumojiError {
  return new MirumojiError("CONNECTION_UNKNOWN", message);
}

/** Codes by which a store says that the operator's keys are no good. */
const REFUSED_KEYS: ReadonlySet<string> = new Set([
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "ExpiredToken",
  "InvalidToken",
  "RequestTimeTooSkewed",
  "CredentialsProviderError",
]);

/** Name, status and words of a failed request. */
export function failureOf(error: unknown): { name: string; status: number | null; message: string } {
  if (!(error instanceof Error)) return { name: "", status: null, message: String(error) };
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
  return { name: error.name, status: $metadata?.httpStatusCode ?? null, message: error.message };
}

/** The error for a store that is not there, unwell or refuses the operator's keys; null for all others. */
export function storeTrouble(shown: string, error: unknown): MirumojiError | null {
  if (error instanceof MirumojiError) return error;
  const { name, status, message } = failureOf(error);
  if (REFUSED_KEYS.has(name)) {
    return new MirumojiError("STORE_REFUSED", `${shown}: the store refuses the connection's keys (${name})`, {
      cause: error,
    });
  }
  if (status !== null && status < 500 && status !== 429 && status !== 408) return null;
  const why = message === "" ? name : message;
  return new MirumojiError(
    "STORE_UNAVAILABLE",
    `${shown}: the store cannot be reached or is unwell: ${why}`,
    {
      cause: error,
    },
  );
}
