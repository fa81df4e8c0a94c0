/** Block size of a version 2 volume, in bytes; only the last block of a file may be shorter. */
export const BLOCK_BYTES = 8 * 1024 * 1024;

/** How many blocks a file has; an empty one has none. */
export function blockCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES);
}

/** The length of block `index` of a file. */
export function blockLength(sizeBytes: number, index: number): number {
  return Math.min(BLOCK_BYTES, sizeBytes - index * BLOCK_BYTES);
}

/** SHA-256 by WebCrypto, which works on a thread of its own: hashing must never delay a heartbeat. */
export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** Whether two digests are the same bytes. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** The SHA-256 in a `Repr-Digest` header (RFC 9530: `sha-256=:<base64>:`), if there is one. */
export function announcedDigest(header: string | readonly string[] | undefined): Uint8Array | undefined {
  const base64 = String(header ?? "").match(/(?:^|[,\s])sha-256=:([A-Za-z0-9+/=]+):/)?.[1];
  return base64 === undefined ? undefined : Buffer.from(base64, "base64");
}
