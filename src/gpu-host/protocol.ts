/** Loads our subset of the protocol as a definition for the gRPC server. */
import { fileURLToPath } from "node:url";
import { loadPackageDefinition, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { CompatServiceDefinition } from "nice-grpc";

interface Loaded {
  modal: { client: { ModalClient: ServiceClientConstructor; StatusDetails: ServiceClientConstructor } };
}

function load(): Loaded {
  const file = fileURLToPath(new URL("./modal_subset.proto", import.meta.url));
  const definition = loadSync(file, { longs: Number, defaults: true });
  return loadPackageDefinition(definition) as unknown as Loaded;
}

const loaded = load();

/** The control plane, with the method names in the SDK's spelling. */
export const controlPlane: CompatServiceDefinition = Object.fromEntries(
  Object.entries(loaded.modal.client.ModalClient.service).map(([name, method]) => [lowerFirst(name), method]),
);

/** The trailer that tells an SDK to wait before it tries again. */
export function encodeRetryPolicy(code: number, message: string, retryAfterSecs: number): Uint8Array {
  const codec = loaded.modal.client.StatusDetails.service["Codec"];
  if (codec === undefined) throw new Error("modal_subset.proto has no StatusDetails.Codec");
  const policy = codec.responseSerialize({ retryAfterSecs });
  const details = [{ typeUrl: "type.googleapis.com/modal.client.RPCRetryPolicy", value: policy }];
  return codec.requestSerialize({ code, message, details });
}

/** `VolumeDelete` or the path `/modal.client.ModalClient/VolumeDelete` as `volumeDelete`. */
export function rpcName(nameOrPath: string): string {
  return lowerFirst(nameOrPath.slice(nameOrPath.lastIndexOf("/") + 1));
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
