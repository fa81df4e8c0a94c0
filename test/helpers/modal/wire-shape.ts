import { readFile } from "node:fs/promises";
import type { ModalSession } from "../../../src/modal/rpc/session.ts";

/** A request as the protocol names it, with the fields of whoever wrote it down. */
export interface WireRequest {
  readonly rpc: string;
  readonly msg: Readonly<Record<string, unknown>>;
}

const RECORDINGS = new URL("./recordings/", import.meta.url);

/** The requests that the Python SDK sent after one mark of a recording. */
export async function readRecording(
  mark: string,
  recording = "python-sdk-1.5.4.jsonl",
): Promise<WireRequest[]> {
  const lines = (await readFile(new URL(recording, RECORDINGS), "utf8")).trim().split("\n");
  const entries = lines.map((line) => JSON.parse(line) as Partial<WireRequest> & { mark?: string });
  const start = entries.findIndex((entry) => entry.mark === mark);
  const end = entries.findIndex((entry, index) => index > start && entry.mark !== undefined);
  return entries.slice(start + 1, end === -1 ? undefined : end) as WireRequest[];
}

/** The session, writing down everything that the SDK is given to send. */
export function recordingSession(session: ModalSession): ModalSession & { readonly requests: WireRequest[] } {
  const requests: WireRequest[] = [];
  const cpClient = new Proxy(session.cpClient, {
    get: (target, name) => {
      const method = Reflect.get(target, name) as (
        request: Record<string, unknown>,
        options: object,
      ) => unknown;
      return (msg: Record<string, unknown>, options: object) => {
        const rpc = String(name);
        requests.push({ rpc: rpc.charAt(0).toUpperCase() + rpc.slice(1), msg });
        return method(msg, options);
      };
    },
  });
  return { ...session, cpClient, requests };
}

/** The numbers of the enum values in the recording, from Modal's published protocol. */
const ENUM_NUMBERS: Readonly<Record<string, number>> = {
  APP_STATE_EPHEMERAL: 1,
  APP_DISCONNECT_REASON_ENTRYPOINT_COMPLETED: 3,
  DATA_FORMAT_PICKLE: 1,
  DATA_FORMAT_CBOR: 4,
  DEFINITION_TYPE_FILE: 2,
  DEPLOYMENT_NAMESPACE_WORKSPACE: 1,
  DEPLOYMENT_NAMESPACE_GLOBAL: 3,
  FUNCTION_SCHEMA_V1: 1,
  FUNCTION_TYPE_FUNCTION: 2,
  OBJECT_CREATION_TYPE_CREATE_IF_MISSING: 1,
  OBJECT_CREATION_TYPE_ANONYMOUS_OWNED_BY_APP: 4,
  OBJECT_CREATION_TYPE_EPHEMERAL: 5,
  PARAM_TYPE_UNKNOWN: 5,
  VOLUME_FS_VERSION_V2: 2,
};

/**
 * Requests of either writer in one shape, as sorted texts: camel case, numbers for enums, kinds in place
 * of IDs, base64 for bytes, and no fields that hold what the wire leaves out. Repeated requests count
 * once: Python looks the client mount up twice.
 */
export function asOneShape(requests: readonly WireRequest[]): string[] {
  return [
    ...new Set(requests.map(({ rpc, msg }) => `${rpc} ${JSON.stringify(shape(msg), null, 1)}`)),
  ].toSorted();
}

function shape(value: unknown): unknown {
  if (typeof value === "string") return shapeText(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(shape);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value)
    .map(([key, item]) => [shapeKey(key), item] as const)
    .filter(([key, item]) => key === "data" || !isDefault(item))
    .map(([key, item]) => [key, shape(item)] as const);
  // As pairs: several IDs become the same key.
  return entries.toSorted((one, other) => JSON.stringify(one).localeCompare(JSON.stringify(other)));
}

function shapeText(text: string): unknown {
  if (Object.hasOwn(ENUM_NUMBERS, text)) return ENUM_NUMBERS[text];
  return text.replace(/^(ap|de|fu|im|mo|vo)-.*$/, "$1-");
}

function shapeKey(key: string): unknown {
  // The SDK's spelling of a leading underscore is a capital.
  const camel = key.replace(/^_([a-z])/, (_, letter: string) => letter.toUpperCase());
  const isOurs = !camel.includes("_") || camel.endsWith("_job");
  return shapeText(
    isOurs ? camel : camel.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
  );
}

function isDefault(value: unknown): boolean {
  return (
    value === undefined ||
    value === "" ||
    value === 0 ||
    value === false ||
    (Array.isArray(value) && value.length === 0)
  );
}
