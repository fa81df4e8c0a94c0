import S3rver from "@20minutes/s3rver";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { testFolder } from "../../../support/folder.ts";

/** The keys that s3rver knows. */
export const S3_KEYS = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };
export const BUCKET = "films";

/** An S3 server that checks signatures, with one bucket. */
export async function startS3Server() {
  const folder = await testFolder();
  await mkdir(join(folder.path, BUCKET));
  const server = new S3rver({
    port: 0,
    address: "127.0.0.1",
    silent: true,
    directory: folder.path,
    configureBuckets: [{ name: BUCKET }],
  });
  const { port } = await server.run();
  return {
    endpoint: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}
