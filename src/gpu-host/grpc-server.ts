import type { ServerOptions } from "@grpc/grpc-js";
import { type ChannelOptions, createServer, type Server } from "nice-grpc";
import { authenticate } from "./middleware/authenticate.ts";
import { injectFaults } from "./middleware/inject-faults.ts";
import { type OnRequest, recordRequests } from "./middleware/record.ts";
import { replay } from "./middleware/replay.ts";
import { controlPlane } from "./protocol.ts";
import { appRpcs } from "./rpc/apps.ts";
import { blobRpcs } from "./rpc/blobs.ts";
import { callRpcs } from "./rpc/calls.ts";
import { functionRpcs } from "./rpc/functions.ts";
import { imageRpcs } from "./rpc/images.ts";
import { logRpcs } from "./rpc/logs.ts";
import { mountRpcs } from "./rpc/mounts.ts";
import { secretRpcs } from "./rpc/secrets.ts";
import { sessionRpcs } from "./rpc/session.ts";
import { volumeFileRpcs } from "./rpc/volume-files.ts";
import { volumeUploadRpcs } from "./rpc/volume-uploads.ts";
import { volumeRpcs } from "./rpc/volumes.ts";
import type { Services } from "./services.ts";

/** Largest message of a client that has the token: as the SDKs have it. */
const MAX_MESSAGE_BYTES = 100 * 1024 * 1024;

/** Requests of one connection at a time; more of them wait at the client. */
const MAX_STREAMS = 1000;

/** Makes the server of the control plane. RPCs that are not listed here are answered with UNIMPLEMENTED. */
export function createGrpcServer(
  services: Services,
  options: { tokenId: string; tokenSecret: string; onRequest: OnRequest | undefined },
): Server {
  const server = createServer({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_concurrent_streams": MAX_STREAMS,
    // Handed on to the server of grpc-js, whose interceptors see the headers before the message is read.
    interceptors: [authenticate({ ...options, signer: services.signer })],
  } satisfies ServerOptions as ChannelOptions)
    .use(recordRequests(options.onRequest ?? (() => undefined)))
    .use(injectFaults(services.faults))
    .use(replay(services.now));
  server.add(controlPlane, {
    ...sessionRpcs(services),
    ...appRpcs(services),
    ...logRpcs(services),
    ...mountRpcs(services),
    ...secretRpcs(services),
    ...imageRpcs(services),
    ...functionRpcs(services),
    ...callRpcs(services),
    ...blobRpcs(services),
    ...volumeRpcs(services),
    ...volumeUploadRpcs(services),
    ...volumeFileRpcs(services),
  });
  return server;
}
