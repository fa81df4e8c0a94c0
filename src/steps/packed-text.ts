import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";

const [compress, expand] = [promisify(gzip), promisify(gunzip)];

/** A text for the checkpoint: subtitles of a long film shrink to a third of what they are. */
export async function packText(text: string): Promise<string> {
  return (await compress(text)).toString("base64");
}

export async function unpackText(packed: string): Promise<string> {
  return (await expand(Buffer.from(packed, "base64"))).toString("utf8");
}
