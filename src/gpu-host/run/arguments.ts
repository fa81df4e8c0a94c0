import { DataFormat } from "../enums.ts";
import { failedPrecondition, invalidArgument } from "../failures.ts";
import type { Blobs } from "../store/blobs.ts";
import type { GivenInput, InputTarget } from "../store/records.ts";
import type { ChildJob } from "./child.ts";
import { cborToTagged } from "./values.ts";

/** The bytes of an input, wherever they are. */
async function inputBytes(input: GivenInput, blobs: Blobs): Promise<Uint8Array> {
  if (input.argsBlobId !== undefined) return await blobs.read(input.argsBlobId);
  return Buffer.from(input.args ?? "", "base64");
}

/** An input in the form that the child wants. Pickled arguments are only unpickled there. */
export async function childArguments(input: GivenInput, blobs: Blobs): Promise<ChildJob["args"]> {
  const data = await inputBytes(input, blobs);
  if (input.dataFormat === DataFormat.PICKLE) {
    return { format: "pickle", data: Buffer.from(data).toString("base64") };
  }
  return { format: "json", value: data.length === 0 ? [[], { $map: [] }] : decoded(data) };
}

function decoded(data: Uint8Array): unknown {
  try {
    return cborToTagged(data);
  } catch (error) {
    throw invalidArgument(`The input is not CBOR: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * Calls of one kind need the same function and the same model, so that a process with that model in memory can do them
 * one after the other; null for calls that name no model, by the handler's contract.
 */
export function callKind(functionId: string, args: ChildJob["args"]): string | null {
  if (args.format === "pickle") return null;
  const [, keywords] = args.value as [unknown, { $map?: [string, unknown][] } | undefined];
  const model = keywords?.$map?.find(([name]) => name === "w_model_args");
  return model === undefined ? null : `${functionId} ${JSON.stringify(model[1])}`;
}

/** The volume and path that a call works on, by the handler's contract; for `/stats`. */
export async function callTarget(input: GivenInput, blobs: Blobs): Promise<InputTarget> {
  const args = await childArguments(input, blobs);
  if (args.format === "pickle") return {};
  const [positional, keywords] = args.value as [unknown[], { $map: [string, unknown][] }];
  if (!Array.isArray(positional) || !Array.isArray(keywords?.$map)) {
    throw failedPrecondition("The input is not a list of arguments and a map of keyword arguments");
  }
  const named = Object.fromEntries(keywords.$map);
  const path = positional[0] ?? named["vol_fp"];
  const volumeId = positional[1] ?? named["vol_id"];
  return {
    ...(typeof path === "string" ? { path } : {}),
    ...(typeof volumeId === "string" ? { volumeId } : {}),
  };
}
