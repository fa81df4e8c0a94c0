import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export interface StoreRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** A bare HTTP server that stands for the object store behind presigned URLs, with answers of the test's own. */
export async function startHttpStore(
  answer: (request: StoreRequest, response: ServerResponse, count: number) => void,
): Promise<AsyncDisposable & { readonly url: string; readonly requests: StoreRequest[] }> {
  const requests: StoreRequest[] = [];
  const server = createServer((incoming, response) => {
    const serve = async (): Promise<void> => {
      const { method = "", url: path = "", headers } = incoming;
      const request = { method, path, headers, body: await buffer(incoming) };
      requests.push(request);
      answer(request, response, requests.length);
    };
    serve().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
