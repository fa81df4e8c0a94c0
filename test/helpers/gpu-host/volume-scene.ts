import { connect, type ControlPlane, newVolume, startHost, temporaryDirectory } from "./host.ts";

/** Bytes without a zero among them, the same for the same size. */
export function content(size: number): Buffer {
  return Buffer.alloc(size, Buffer.from(Array.from({ length: 251 }, (_, index) => index + 1)));
}

export async function paths(cp: ControlPlane, volumeId: string, path = "/", recursive = false) {
  const entries = [];
  for await (const batch of cp.volumeListFiles2({ volumeId, path, recursive }))
    entries.push(...batch.entries);
  return entries.map((entry) => `${entry.type === 2 ? "d" : "f"} ${entry.path} ${entry.size}`);
}

export async function start(options: Parameters<typeof startHost>[0] = {}) {
  const dataDir = await temporaryDirectory();
  const host = await startHost({ ...options, dataDir });
  const cp = connect(host);
  return { host, cp, volumeId: await newVolume(cp), dataDir };
}
