import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Log } from "../log.ts";
import { same } from "../signer.ts";
import { HttpError } from "./http-error.ts";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The last part of the path, where blocks and blobs have their signed token. */
  readonly token: string;
}

export interface Route {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** The first part of the path, or the whole of it for `private` routes. */
  readonly path: string;
  /** Asks for the host's HTTP token; the other routes carry a signed one in their path. */
  readonly private: boolean;
  readonly handle: (exchange: Exchange) => Promise<void> | void;
}

/** Slow lines may take their time over a block. */
const REQUEST_TIMEOUT_MS = 60 * 60 * 1000;
/** Longer than clients keep an idle connection, so that they close it and never write into a closed one. */
const KEEP_ALIVE_MS = 75_000;

export function createHttpServer(options: { routes: readonly Route[]; httpToken: string; log: Log }): Server {
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://host");
    const [, first = "", token = ""] = url.pathname.split("/");
    const route = options.routes.find(({ method, path, private: isPrivate }) => {
      return method === request.method && (isPrivate ? url.pathname === path : `/${first}` === path);
    });
    if (route === undefined) throw new HttpError(404, "There is nothing here");
    if (route.private && !same(givenToken(request, url), options.httpToken)) {
      throw new HttpError(401, "The token is missing or wrong");
    }
    await route.handle({ request, response, token });
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      // The other side went away, or part of the answer is out: there is nobody to explain anything to.
      if (response.headersSent || (request.destroyed && !request.complete)) {
        options.log.debug({ error, method: request.method }, "request broken off");
        response.destroy();
        return;
      }
      if (error instanceof HttpError) return sendText(response, error.status, error.message);
      options.log.error({ error, method: request.method }, "request failed");
      return sendText(response, 500, "Internal error");
    });
  });
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  return server;
}

export function sendText(response: ServerResponse, status: number, text: string): void {
  response
    .writeHead(status, { "Content-Type": "text/plain", "Content-Length": Buffer.byteLength(text) })
    .end(text);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}

function givenToken(request: IncomingMessage, url: URL): string {
  const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
  return bearer ?? url.searchParams.get("token") ?? "";
}
