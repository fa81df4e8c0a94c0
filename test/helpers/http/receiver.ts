import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly event: { type: string; timestamp: string; data: { id: string; status: string } };
}

/** A receiver of webhooks, as somebody else would write one. */
export interface Receiver {
  readonly url: string;
  readonly received: Received[];
  /** Waits until so many came. */
  count(wanted: number): Promise<Received[]>;
  close(): void;
}

/** `answer` ends the response in its own way, or gives the status. */
export async function startReceiver(
  answer: (received: Received, reply: ServerResponse) => number | null = () => 204,
): Promise<Receiver> {
  const received: Received[] = [];
  const waiting = new Set<() => void>();
  const server = createServer((request, reply) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts).toString();
      const one = {
        path: request.url ?? "",
        headers: request.headers,
        body,
        event: JSON.parse(body) as Received["event"],
      };
      received.push(one);
      const status = answer(one, reply);
      if (status !== null) {
        reply.writeHead(status);
        reply.end();
      }
      for (const look of waiting) look();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    count: async (wanted) =>
      await new Promise((resolve) => {
        const look = () => {
          if (received.length < wanted) return;
          waiting.delete(look);
          resolve(received.slice(0, wanted));
        };
        waiting.add(look);
        look();
      }),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Whether the official library takes the signature; it throws otherwise. */
export function verify(secret: string, { headers, body }: Received): unknown {
  return new Webhook(secret).verify(body, headers as Record<string, string>);
}
