import { once } from "node:events";
import { createServer, type Socket, connect } from "node:net";

/** TCP proxy that a test can cut, or make swallow everything. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Ends every connection at once; new ones work. */
  cut(): void;
  /** Ends every connection, and new ones as soon as they are made, until healed. */
  refuse(): void;
  /** Takes connections and bytes but passes nothing on, as a dead network does, until healed. */
  blackHole(): void;
  /** Passes everything on this much later. */
  delay(ms: number): void;
  heal(): void;
}

export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let mode: { kind: "open" | "hole" | "refusing" } | { kind: "slow"; ms: number } = { kind: "open" };
  const pass = (from: Socket, to: Socket) => {
    from.on("data", (bytes) => {
      if (mode.kind === "hole" || to.destroyed) return;
      if (mode.kind === "slow") setTimeout(() => to.destroyed || to.write(bytes), mode.ms);
      else if (!to.write(bytes)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
    });
    from.on("close", () => to.destroy());
    from.on("error", () => to.destroy());
  };
  const server = createServer((near) => {
    if (mode.kind === "refusing") {
      near.resetAndDestroy();
      return;
    }
    const far = connect(target, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    }
    pass(near, far);
    pass(far, near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port was given");
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: address.port,
    cut,
    refuse() {
      mode = { kind: "refusing" };
      cut();
    },
    blackHole() {
      mode = { kind: "hole" };
    },
    delay(ms) {
      mode = { kind: "slow", ms };
    },
    heal() {
      // Swallowed bytes are missing from every stream, so none can be used any more.
      if (mode.kind === "hole") cut();
      mode = { kind: "open" };
    },
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}
