import type { Log } from "../log.ts";
import { same } from "../signer.ts";
import { type Exchange, type Front, GoneError, openFront } from "./front.ts";
import { HttpError } from "./http-error.ts";

export interface Route {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** The first part of the path, or the whole of it for `private` routes. */
  readonly path: string;
  /** Asks for the host's HTTP token; the other routes carry a signed one in their path. */
  readonly private: boolean;
  /** `token` is the last part of the path, where blocks and blobs have their signed one. */
  readonly handle: (exchange: Exchange, token: string) => Promise<void>;
}

export interface HttpServer {
  readonly ports: readonly number[];
  /** Hangs up on everybody. */
  close(): Promise<void>;
}

/** Opens a front on each of the ports. */
export async function openHttpServer({
  host,
  ports,
  routes,
  httpToken,
  log,
}: {
  readonly host: string;
  readonly ports: readonly number[];
  readonly routes: readonly Route[];
  readonly httpToken: string;
  readonly log: Log;
}): Promise<HttpServer> {
  async function serve(exchange: Exchange): Promise<void> {
    if (!URL.canParse(exchange.url, "http://host")) throw new HttpError(400, "The path is not one");
    const url = new URL(exchange.url, "http://host");
    const [, first = "", token = ""] = url.pathname.split("/");
    const route = routes.find(({ method, path, private: isPrivate }) => {
      return method === exchange.method && (isPrivate ? url.pathname === path : `/${first}` === path);
    });
    if (route === undefined) throw new HttpError(404, "There is nothing here");
    if (route.private && !same(givenToken(exchange, url), httpToken)) {
      throw new HttpError(401, "The token is missing or wrong");
    }
    await route.handle(exchange, token);
  }

  async function explain(exchange: Exchange, error: unknown): Promise<void> {
    const { method } = exchange;
    if (error instanceof GoneError) return log.debug({ error, method }, "request broken off");
    if (error instanceof HttpError) return await sendText(exchange, error.status, error.message);
    log.error({ error, method }, "request failed");
    return await sendText(exchange, 500, "Internal error");
  }

  const onExchange = (exchange: Exchange): void => {
    void serve(exchange)
      .catch(async (error: unknown) => await explain(exchange, error))
      // The receiver of the explanation has disconnected as well.
      .catch(() => undefined);
  };
  const fronts: Front[] = [];
  const close = async (): Promise<void> => {
    for (const front of fronts) await front.close();
  };
  try {
    for (const port of ports) fronts.push(await openFront({ host, port, onExchange }));
  } catch (error) {
    await close();
    throw error;
  }
  return { ports: fronts.map(({ port }) => port), close };
}

export async function sendText(exchange: Exchange, status: number, text: string): Promise<void> {
  await exchange.answer(status, text, { "Content-Type": "text/plain" });
}

export async function sendJson(exchange: Exchange, status: number, value: unknown): Promise<void> {
  await exchange.answer(status, JSON.stringify(value), { "Content-Type": "application/json" });
}

function givenToken({ headers }: Exchange, url: URL): string {
  const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1];
  return bearer ?? url.searchParams.get("token") ?? "";
}
