import { fileURLToPath } from "node:url";
import { loadSync, type MessageTypeDefinition, type ServiceDefinition } from "@grpc/proto-loader";

interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
}
interface Type {
  readonly name: string;
  readonly field: readonly Field[];
  readonly nestedType: readonly Type[];
}

const definitions = loadSync(
  fileURLToPath(new URL("../../../src/gpu-host/modal_subset.proto", import.meta.url)),
  { longs: Number, defaults: true },
);

const TEXTS = [
  "",
  "a",
  "../../etc/passwd",
  "a/../..",
  "nul\0",
  "/",
  "ap-unknown",
  "é".repeat(300),
  "x".repeat(70_000),
];
const NUMBERS = [0, 0, 1, 1, 2, 3, 4, 5, 6, 255, 2 ** 31 - 1];
const FLOATS = [0, 0, 0.01, -1, Number.NaN, 1e30];

/**
 * Makes requests for the host's RPCs, as bytes: fields of each message's own types, with values that tend to hurt, and
 * IDs that the host knows; every fourth one is damaged after that.
 */
export function randomMessages(seed: number, ids: readonly string[]) {
  const random = generator(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;
  const rpcs = Object.values(definitions["modal.client.ModalClient"] as ServiceDefinition);

  function valueOf({ type, typeName }: Field, scopes: readonly Type[]): unknown {
    if (type === "TYPE_STRING") return random() < 0.4 ? pick(ids) : pick(TEXTS);
    if (type === "TYPE_BYTES")
      return Buffer.from(Array.from({ length: pick([0, 1, 5, 32, 300]) }, () => below(256)));
    if (type === "TYPE_BOOL") return random() < 0.5;
    if (type === "TYPE_FLOAT" || type === "TYPE_DOUBLE") return pick(FLOATS);
    if (type !== "TYPE_MESSAGE") return type.includes("UINT") ? pick(NUMBERS) : pick([...NUMBERS, -1]);
    const nested = scopes.flatMap(({ nestedType }) => nestedType).find(({ name }) => name === typeName);
    const found = definitions[`modal.client.${typeName}`] as
      | MessageTypeDefinition<object, object>
      | undefined;
    return scopes.length > 4 ? {} : messageOf(nested ?? (found?.type as Type), scopes);
  }

  function messageOf(type: Type, outer: readonly Type[] = []): object {
    const scopes = [type, ...outer];
    const present = type.field.filter(() => random() < 0.7);
    const entries = present.map((field) => {
      const one = () => valueOf(field, scopes);
      if (field.label !== "LABEL_REPEATED") return [field.name, one()];
      const isMap = field.type === "TYPE_MESSAGE" && field.typeName.endsWith("Entry");
      return [field.name, isMap ? { a: pick(ids) } : Array.from({ length: below(4) }, one)];
    });
    return Object.fromEntries(entries) as object;
  }

  return (): { path: string; message: Buffer; isStream: boolean } => {
    const rpc = pick(rpcs);
    const message = rpc.requestSerialize(messageOf(rpc.requestType.type as Type));
    if (message.length > 0 && random() < 0.25) message[below(message.length)] = below(256);
    return { path: rpc.path, message, isStream: rpc.responseStream };
  };
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
