import { setMaxListeners } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MirumojiError } from "../../../src/job/errors.ts";
import {
  type Block,
  createTransferLimiter,
  type TransferSlot,
} from "../../../src/modal/transfers/transfer-limiter.ts";

const never = new AbortController().signal;
setMaxListeners(0, never);

/** A transfer that stays in the limiter until it is told to leave. */
function occupy(limiter: ReturnType<typeof createTransferLimiter>, signal = never) {
  let leave = (): void => {};
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  let sat: (slot: TransferSlot) => void = () => {};
  const slot = new Promise<TransferSlot>((resolve) => {
    sat = resolve;
  });
  const over = limiter.run(signal, async (given) => {
    sat(given);
    await left;
  });
  return { slot, leave, over };
}

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol("open");
  await turn();
  return (await Promise.race([promise.catch(() => null), Promise.resolve(open)])) !== open;
}

describe("the limiter of transfers", () => {
  test("lets so many in, and the next when one leaves, in the order of their coming", async () => {
    const limiter = createTransferLimiter({ maxTransfers: 1 });
    const [first, second, third] = [occupy(limiter), occupy(limiter), occupy(limiter)];
    await first.slot;
    expect(await isSettled(second.slot)).toBe(false);
    first.leave();
    await second.slot;
    expect(await isSettled(third.slot)).toBe(false);
    second.leave();
    await third.slot;
    third.leave();
    await Promise.all([first.over, second.over, third.over]);
  });

  test("forgets who gives up, and lets in who comes after a failure", async () => {
    const limiter = createTransferLimiter({ maxTransfers: 1 });
    await expect(limiter.run(never, async () => await Promise.reject(new Error("broken")))).rejects.toThrow(
      "broken",
    );
    const first = occupy(limiter);
    await first.slot;
    const impatient = new AbortController();
    const second = occupy(limiter, impatient.signal);
    const cancelled = new MirumojiError("CANCELLED", "somebody asked");
    impatient.abort(cancelled);
    await expect(second.over).rejects.toBe(cancelled);
    const third = occupy(limiter);
    first.leave();
    await third.slot;
    third.leave();
    await third.over;
  });

  test("gives one transfer all blocks, and two of them never the last one to who has some", async () => {
    const limiter = createTransferLimiter({ maxBlocks: 3 });
    const greedy = occupy(limiter);
    const greedySlot = await greedy.slot;
    expect(greedySlot.maxBlocks).toBe(3);
    const held = await Promise.all([1, 2, 3].map(async () => await greedySlot.take(never)));
    const modest = occupy(limiter);
    const modestSlot = await modest.slot;
    const more = greedySlot.take(never);
    held[0]?.giveBack();
    expect(await isSettled(more)).toBe(false);
    // Although somebody waits already.
    const block = await modestSlot.take(never);
    block.giveBack();
    expect(await isSettled(more)).toBe(false);
    modest.leave();
    await modest.over;
    (await more).giveBack();
    for (const one of held.slice(1)) one.giveBack();
    greedy.leave();
    await greedy.over;
  });

  test("a block that is waited for is given up with the signal", async () => {
    const limiter = createTransferLimiter({ maxBlocks: 1 });
    const one = occupy(limiter);
    const slot = await one.slot;
    const block = await slot.take(never);
    const impatient = new AbortController();
    const more = slot.take(impatient.signal);
    impatient.abort();
    await expect(more).rejects.toMatchObject({ code: "INTERRUPTED" });
    block.giveBack();
    (await slot.take(never)).giveBack();
    one.leave();
    await one.over;
  });

  test("gives every block to one transfer at a time, never more than there are, and evenly", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.nat(3)),
        async (maxBlocks, transfers, pauses) => {
          const limiter = createTransferLimiter({ maxBlocks, maxTransfers: 3 });
          const out = new Set<SharedArrayBuffer>();
          let most = 0;
          const use = async (block: Block): Promise<void> => {
            expect(out.has(block.memory)).toBe(false);
            out.add(block.memory);
            most = Math.max(most, out.size);
            for (let turns = pauses.next().value; turns > 0; turns--) await turn();
            out.delete(block.memory);
            block.giveBack();
          };
          await Promise.all(
            transfers.map(async (blocks) => {
              await limiter.run(never, async (slot) => {
                const each = Array.from({ length: blocks }, async () => await use(await slot.take(never)));
                await Promise.all(each);
              });
            }),
          );
          expect(out.size).toBe(0);
          expect(most).toBeLessThanOrEqual(maxBlocks);
        },
      ),
      { numRuns: 40 },
    );
  });
});
