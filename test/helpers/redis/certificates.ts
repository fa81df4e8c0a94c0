import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Makes a private authority, and a certificate of it for 127.0.0.1; gives the files. */
export async function makeCertificates(folder: string) {
  const at = (name: string) => join(folder, name);
  const openssl = async (...args: string[]) => await run("openssl", args, { cwd: folder });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const ca = ["-subj", "/CN=private", "-keyout", at("ca.key"), "-out", at("ca.pem")];
  await openssl("req", "-x509", ...key, ...ca);
  const signed = ["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-addext", "subjectAltName=IP:127.0.0.1"];
  const files = ["-keyout", at("redis.key"), "-out", at("redis.pem")];
  await openssl("req", "-x509", ...key, ...signed, "-subj", "/CN=redis", ...files);
  return { ca: at("ca.pem"), key: at("redis.key"), cert: at("redis.pem") };
}
