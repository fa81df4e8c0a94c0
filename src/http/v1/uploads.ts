import { FileConfigstore, FileStore } from "@tus/file-store";
import { Server } from "@tus/server";
import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { MirumojiError } from "../../job/errors.ts";
import { tenantOf } from "./access.ts";
import type { ApiServices } from "./services.ts";
import { startExpiry } from "./upload-expiry.ts";

/** Below the media root; the last part of an upload's address is the file's name there. */
const FOLDER = "uploads";
/** Tenant of the caller, from the route to tus; nothing that the caller sends can be taken for it. */
const callerTenant = new AsyncLocalStorage<string>();

/**
 * Resumable uploads into the media root, by the tus protocol 1.0. What has arrived is on the disk, so that an upload
 * goes on after a restart. A finished one is `uploads/<ID>` to jobs.
 */
export function uploadRoutes(services: ApiServices, base: string) {
  return async (server: FastifyInstance): Promise<void> => {
    const { mediaRoot, uploads, audit, onError } = services;
    // Tus reads the body itself.
    server.addContentTypeParser("application/offset+octet-stream", (_request, _payload, done) => done(null));
    const config = { scope: "submit" } as const;
    const tus = mediaRoot === null ? null : await openTus(mediaRoot, uploads.maxBytes, base);
    if (tus !== null) {
      const expiry = startExpiry({ ...tus, afterMs: uploads.expiryMs, onError });
      server.addHook("onClose", () => expiry.stop());
    }
    for (const [url, method] of [
      ["/uploads", ["POST", "OPTIONS"]],
      ["/uploads/:upload", ["HEAD", "PATCH", "DELETE"]],
    ] as const) {
      server.route({
        method: [...method],
        url,
        config,
        schema: { hide: true },
        handler: async (request, reply) => {
          if (tus === null) {
            throw new MirumojiError(
              "CONFIG_INVALID",
              "this process has no media root (HOST_MEDIA_PATH) to put files into",
            );
          }
          const owner = tenantOf(request) ?? "";
          await requireOwner(tus.store, request, owner);
          reply.hijack();
          reply.raw.setHeader("x-content-type-options", "nosniff");
          await callerTenant.run(owner, async () => await tus.server.handle(request.raw, reply.raw));
          if (request.method === "POST" && request.apiKey !== null) {
            await audit.write({
              actor: `key ${request.apiKey.id}`,
              name: request.apiKey.name,
              address: request.ip,
              action: "upload.create",
              result: reply.raw.statusCode < 400 ? "done" : String(reply.raw.statusCode),
            });
          }
        },
      });
    }
  };
}

async function openTus(mediaRoot: NonNullable<ApiServices["mediaRoot"]>, maxSize: number, base: string) {
  const directory = dirname(await mediaRoot.resolveTarget(`${FOLDER}/file`, "upload"));
  const records = join(directory, ".tus");
  await mkdir(records, { recursive: true });
  const store = new FileStore({ directory, configstore: new FileConfigstore(records) });
  const server = new Server({
    path: `/v1/${FOLDER}`,
    datastore: store,
    maxSize,
    disableTerminationForFinishedUploads: true,
    allowedOrigins: [],
    generateUrl: (_request, { id }) => `${base}/${FOLDER}/${encodeURIComponent(id)}`,
    namingFunction: (_request, metadata) => `${randomUUID()}-${safeName(metadata?.["filename"] ?? "")}`,
    onUploadCreate: async (_request, upload) =>
      await Promise.resolve({ metadata: { ...upload.metadata, owner: callerTenant.getStore() ?? "" } }),
  });
  return { server, store, records };
}

/** Tenants know nothing of each other's uploads. */
async function requireOwner(store: FileStore, request: FastifyRequest, owner: string): Promise<void> {
  const { upload: id } = request.params as { upload?: string };
  if (id === undefined || owner === "") return;
  const upload = await store.getUpload(id).catch(() => null);
  if (upload !== null && upload.metadata?.["owner"] === owner) return;
  throw new MirumojiError("ROUTE_NOT_FOUND", `there is no upload ${JSON.stringify(id)}`);
}

/** The name as it can stand in any folder: letters and digits of any script, dots, dashes; never hidden, never long. */
function safeName(name: string): string {
  const base = name.normalize("NFC").split(/[/\\]/u).at(-1) ?? "";
  const safe = base.replaceAll(/[^\p{L}\p{N}\p{M}._-]+/gu, "_").replace(/^[._]+/u, "");
  const [, stem = "", extension = ""] = /^(.*?)(\.[A-Za-z0-9]{1,8})?$/u.exec(safe) ?? [];
  return `${Array.from(stem).slice(0, 40).join("") || "file"}${extension}`;
}
