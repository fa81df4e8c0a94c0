/** Pause of a channel between two tries to connect, at most; gRPC's own grows to two minutes. */
const LONGEST_MS = 5000;

interface Backoff {
  maxDelay: number;
  runOnce: (this: Backoff) => void;
}

/**
 * Lets gRPC try to connect again every few seconds, so that work goes on when the network is back. The SDK opens its
 * channel without options and gives no way to it. Where gRPC is built otherwise than expected, nothing is changed.
 */
export async function shortenBackoff(): Promise<void> {
  const loaded: unknown = await import("@grpc/grpc-js/build/src/backoff-timeout.js").catch(() => undefined);
  const prototype = (loaded as { BackoffTimeout?: { prototype?: Backoff } } | undefined)?.BackoffTimeout
    ?.prototype;
  if (typeof prototype?.runOnce !== "function") return;
  const runOnce = prototype.runOnce;
  prototype.runOnce = function runSoon(this: Backoff): void {
    this.maxDelay = Math.min(this.maxDelay, LONGEST_MS);
    runOnce.call(this);
  };
}
