import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Fault, VanishFault } from "../../../src/gpu-host/faults.ts";
import { type GpuHost, type GpuHostOptions, startGpuHost } from "../../../src/gpu-host/host.ts";
import {
  type ModalSession,
  type ModalSessionOptions,
  openModalSession,
} from "../../../src/modal/rpc/session.ts";

export interface RecordedRequest {
  readonly rpc: string;
  readonly request: Record<string, unknown>;
}

export interface HostForTests extends AsyncDisposable {
  readonly host: GpuHost;
  readonly session: ModalSession;
  /** Another session on the same host. */
  open(options?: Partial<ModalSessionOptions>): ModalSession;
  /** Every request so far, each retry included. */
  readonly requests: readonly RecordedRequest[];
  fault(fault: Fault | VanishFault): Promise<void>;
  clearFaults(): Promise<void>;
  /** A folder that goes away with the host. */
  readonly folder: string;
}

/** A GPU host of the test's own, recording and ready to misbehave, and a session on it. */
export async function startHostForTests(options: Partial<GpuHostOptions> = {}): Promise<HostForTests> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-modal-"));
  const requests: RecordedRequest[] = [];
  const host = await startGpuHost({
    dataDir: join(folder, "host"),
    adminFaults: true,
    onRequest: (rpc, request) => requests.push({ rpc, request: request as Record<string, unknown> }),
    ...options,
  });
  const { serverUrl, tokenId, tokenSecret } = host;
  const open: HostForTests["open"] = (more) => openModalSession({ serverUrl, tokenId, tokenSecret, ...more });
  const order = async (init: RequestInit): Promise<void> => {
    const response = await fetch(host.adminUrl, init);
    if (!response.ok) throw new Error(`the host does not know this fault: ${await response.text()}`);
  };
  return {
    host,
    session: open(),
    open,
    requests,
    folder,
    fault: async (fault) => await order({ method: "POST", body: JSON.stringify(fault) }),
    clearFaults: async () => await order({ method: "DELETE" }),
    [Symbol.asyncDispose]: async () => {
      await host.close();
      await rm(folder, { recursive: true });
    },
  };
}
