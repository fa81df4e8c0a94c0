import type { FastifyInstance } from "fastify";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { ERRORS } from "../../job/errors.ts";

const FOLDER = new URL("./browser/", import.meta.url);
const { resolve } = createRequire(import.meta.url);
/** Only what this server gives may run, load and be asked; texts never become tags. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "media-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");
const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Serves the files of the page for people. They hold no secret: what they show is asked of the API. */
export async function addPageFiles(server: FastifyInstance, path: string): Promise<void> {
  const files = await readFiles();
  // The page's own links are relative to its folder.
  server.get("", { schema: { hide: true } }, async (_request, reply) => await reply.redirect(`${path}/`));
  for (const [name, content] of files) {
    const etag = `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
    const type = TYPES[extname(name)] ?? "application/octet-stream";
    server.get(
      name === "index.html" ? "/" : `/${name}`,
      { schema: { hide: true }, prefixTrailingSlash: "slash" },
      async (request, reply) => {
        reply.headers({ etag, "cache-control": "no-cache", "content-security-policy": POLICY });
        if (request.headers["if-none-match"] === etag) return await reply.code(304).send();
        return await reply.type(type).serializer(String).send(content);
      },
    );
  }
}

async function readFiles(): Promise<Map<string, string>> {
  const names = (await readdir(FOLDER)).filter((name) =>
    [".html", ".css", ".js", ".svg"].includes(extname(name)),
  );
  const own = names.map((name) => [name, fileURLToPath(new URL(name, FOLDER))] as const);
  const vendor = [
    ["vendor/eventsource-parser.js", resolve("eventsource-parser").replace(/\.cjs$/u, ".js")],
    ["vendor/tus.js", resolve("tus-js-client/dist/tus.min.js")],
  ] as const;
  const read = async ([name, path]: readonly [string, string]) =>
    [name, (await readFile(path, "utf8")).replace(/^\/\/# sourceMappingURL=.*$/mu, "")] as const;
  const advice = Object.entries(ERRORS).map(([code, { meaning, advice: toDo }]) => [
    code,
    { meaning, advice: toDo },
  ]);
  return new Map([
    ...(await Promise.all([...own, ...vendor].map(read))),
    ["errors.json", JSON.stringify(Object.fromEntries(advice))],
  ]);
}
