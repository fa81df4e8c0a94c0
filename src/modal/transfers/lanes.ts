import { setMaxListeners } from "node:events";
import { throwIfAborted } from "../rpc/abort.ts";

/**
 * Processes items in parallel in `laneCount` lanes. The first failure stops all lanes; nothing is running any more
 * when this returns or throws, so files may be closed then.
 */
export async function inLanes<Item>(
  items: Iterable<Item>,
  laneCount: number,
  signal: AbortSignal,
  work: (item: Item, context: { readonly lane: number; readonly signal: AbortSignal }) => Promise<void>,
): Promise<void> {
  throwIfAborted(signal);
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  // Each lane adds several listeners.
  setMaxListeners(0, either);
  const queue = items[Symbol.iterator]();
  let failure: { readonly thrown: unknown } | undefined;
  const runLane = async (lane: number): Promise<void> => {
    for (let next = queue.next(); !next.done && !either.aborted; next = queue.next()) {
      try {
        await work(next.value, { lane, signal: either });
      } catch (thrown) {
        failure ??= { thrown };
        failed.abort(thrown);
      }
    }
  };
  await Promise.all(Array.from({ length: laneCount }, async (_, lane) => await runLane(lane)));
  throwIfAborted(signal);
  if (failure !== undefined) throw failure.thrown;
}
