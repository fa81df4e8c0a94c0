import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { refusedRpcs, servedRpcs } from "../../scripts/generate/conformance.ts";
import type { GpuHost } from "../../src/gpu-host/host.ts";
import { startHost, undoAll } from "../helpers/gpu-host/host.ts";

afterEach(undoAll);

/** Sends an empty request below every SDK and gives the host's answer. */
async function answerOf(client: Client, host: GpuHost, rpc: string): Promise<ServiceError | null> {
  const metadata = new Metadata();
  const headers = {
    "x-modal-client-type": "1",
    "x-modal-client-version": "1.5.4",
    "x-modal-token-id": host.tokenId,
    "x-modal-token-secret": host.tokenSecret,
  };
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const bytes = (data: Buffer): Buffer => data;
  return await new Promise((resolve) => {
    const path = `/modal.client.ModalClient/${rpc}`;
    const deadline = { deadline: Date.now() + 10_000 };
    client.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), metadata, deadline, (error) =>
      resolve(error),
    );
  });
}

test("serves every RPC that the page lists as served, and answers UNIMPLEMENTED to all others", async () => {
  const host = await startHost();
  const client = new Client(new URL(host.serverUrl).host, credentials.createInsecure());
  const missing: string[] = [];
  const known: string[] = [];
  const isUnknown = async (rpc: string) => {
    const error = await answerOf(client, host, rpc);
    return error?.code === status.UNIMPLEMENTED && error.details.includes("does not implement the method");
  };
  for (const rpc of servedRpcs()) if (await isUnknown(rpc)) missing.push(rpc);
  for (const rpc of refusedRpcs()) if (!(await isUnknown(rpc))) known.push(rpc);
  client.close();
  expect({ missing, known }).toEqual({ missing: [], known: [] });
  expect(servedRpcs().length + refusedRpcs().length).toBe(267);
});
