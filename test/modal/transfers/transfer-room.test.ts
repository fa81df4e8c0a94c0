import { setMaxListeners } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MirumojiError } from "../../../src/job/errors.ts";
import { type Block, openTransferRoom, type Seat } from "../../../src/modal/transfers/transfer-room.ts";

const never = new AbortController().signal;
setMaxListeners(0, never);

/** A transfer that stays in the room until it is told to leave. */
function sit(room: ReturnType<typeof openTransferRoom>, signal = never) {
  let leave = (): void => {};
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  let sat: (seat: Seat) => void = () => {};
  const seat = new Promise<Seat>((resolve) => {
    sat = resolve;
  });
  const over = room.enter(signal, async (given) => {
    sat(given);
    await left;
  });
  return { seat, leave, over };
}

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol("open");
  await turn();
  return (await Promise.race([promise.catch(() => null), Promise.resolve(open)])) !== open;
}

describe("a room for transfers", () => {
  test("lets so many in, and the next when one leaves, in the order of their coming", async () => {
    const room = openTransferRoom({ maxTransfers: 1 });
    const [first, second, third] = [sit(room), sit(room), sit(room)];
    await first.seat;
    expect(await isSettled(second.seat)).toBe(false);
    first.leave();
    await second.seat;
    expect(await isSettled(third.seat)).toBe(false);
    second.leave();
    await third.seat;
    third.leave();
    await Promise.all([first.over, second.over, third.over]);
  });

  test("forgets who gives up, and lets in who comes after a failure", async () => {
    const room = openTransferRoom({ maxTransfers: 1 });
    await expect(room.enter(never, async () => await Promise.reject(new Error("broken")))).rejects.toThrow(
      "broken",
    );
    const first = sit(room);
    await first.seat;
    const impatient = new AbortController();
    const second = sit(room, impatient.signal);
    const cancelled = new MirumojiError("CANCELLED", "somebody asked");
    impatient.abort(cancelled);
    await expect(second.over).rejects.toBe(cancelled);
    const third = sit(room);
    first.leave();
    await third.seat;
    third.leave();
    await third.over;
  });

  test("gives one transfer all blocks, and two of them never the last one to who has some", async () => {
    const room = openTransferRoom({ maxBlocks: 3 });
    const greedy = sit(room);
    const greedySeat = await greedy.seat;
    expect(greedySeat.mostBlocks).toBe(3);
    const held = await Promise.all([1, 2, 3].map(async () => await greedySeat.take(never)));
    const modest = sit(room);
    const modestSeat = await modest.seat;
    const more = greedySeat.take(never);
    held[0]?.giveBack();
    expect(await isSettled(more)).toBe(false);
    // Although somebody waits already.
    const block = await modestSeat.take(never);
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
    const room = openTransferRoom({ maxBlocks: 1 });
    const one = sit(room);
    const seat = await one.seat;
    const block = await seat.take(never);
    const impatient = new AbortController();
    const more = seat.take(impatient.signal);
    impatient.abort();
    await expect(more).rejects.toMatchObject({ code: "INTERRUPTED" });
    block.giveBack();
    (await seat.take(never)).giveBack();
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
          const room = openTransferRoom({ maxBlocks, maxTransfers: 3 });
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
              await room.enter(never, async (seat) => {
                const each = Array.from({ length: blocks }, async () => await use(await seat.take(never)));
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
