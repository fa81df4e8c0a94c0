import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, it } from "vitest";
import { isFinal } from "../../src/job/summary.ts";
import type { WorkerProcess } from "../../support/stack.ts";
import { SEED, seeded } from "../helpers/crash/random.ts";
import { IS_LONG, openRig, type Rig } from "../helpers/crash/rig.ts";
import type { Scene } from "../helpers/crash/scene.ts";

const WORKERS = 3;
const KILLS = IS_LONG ? 100 : 6;
const STOPS = IS_LONG ? 50 : 2;
const JOBS = IS_LONG ? 50 : 10;

let rig: Rig;
beforeAll(async () => {
  // vitest shows a suite's name only for failures.
  console.info(`CRASH_SEED=${SEED}`);
  rig = await openRig();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

describe(
  `a pool of ${WORKERS} workers with ${JOBS} jobs (CRASH_SEED=${SEED})`,
  { timeout: 1_800_000 },
  () => {
    it(`hands all of them over in a storm of ${STOPS} SIGTERMs, and spends no attempt on it`, async () => {
      await using scene = await rig.scene(`${STOPS} SIGTERMs, 3 workers`);
      const random = seeded(SEED + 1);
      const pool = startPool(scene);
      await fill(scene);
      for (let stop = 0; stop < STOPS; stop++) {
        await sleep(random() * 800);
        if ((await unfinished(scene)) < WORKERS) await fill(scene);
        const index = Math.floor(random() * WORKERS);
        const leaving = await pool[index];
        pool[index] = scene.worker();
        await leaving?.kill("SIGTERM");
      }
      await Promise.all(pool);
      // Nothing was killed, so no volume may be left.
      await scene.expectAllWell({ mostAttempts: 1 });
    });

    it(`finishes all of them although workers are killed ${KILLS} times at random`, async () => {
      await using scene = await rig.scene(`${KILLS} random kills, 3 workers`);
      const random = seeded(SEED);
      const pool = startPool(scene);
      await fill(scene);
      for (let kill = 0; kill < KILLS; kill++) {
        await sleep(random() * 1000);
        // Keeps jobs running until the last kill.
        if ((await unfinished(scene)) < WORKERS) await fill(scene);
        const index = Math.floor(random() * WORKERS);
        const victim = await pool[index];
        await victim?.kill("SIGKILL");
        // Others may be killed while this one is replaced.
        pool[index] = scene.worker();
      }
      await Promise.all(pool);
      await scene.expectAllWell();
    });

    it("leaves nothing but volumes that nobody could know, and those expire", async () => {
      await rig.expectNothingLeft();
    });
  },
);

function startPool(scene: Scene): Promise<WorkerProcess>[] {
  return Array.from({ length: WORKERS }, async () => await scene.worker());
}

/** Adds jobs up to the wanted number; their calls take from nothing to a second. */
async function fill(scene: Scene): Promise<void> {
  const random = seeded(SEED + scene.jobs.length);
  for (let missing = JOBS - (await unfinished(scene)); missing > 0; missing--) {
    const callSeconds = Number(random().toFixed(2));
    await scene.submit(random() < 0.5 ? "transcribe" : "convert", { callSeconds });
  }
}

async function unfinished(scene: Scene): Promise<number> {
  const client = await scene.client();
  const views = await Promise.all(scene.jobs.map(async ({ id }) => await client.get(id)));
  return views.filter(({ status }) => !isFinal(status)).length;
}
