/** Does something to each item, up to `limit` at a time, in order. Rejects with the first error, when all have ended. */
export async function manyAtOnce<T>(
  limit: number,
  items: readonly T[],
  act: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const lane = async (): Promise<void> => {
    for (const item of rest) await act(item);
  };
  const lanes = Array.from({ length: Math.min(limit, items.length) }, lane);
  for (const lived of await Promise.allSettled(lanes)) if (lived.status === "rejected") throw lived.reason;
}
