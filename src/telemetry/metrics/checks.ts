import { setTimeout as sleep } from "node:timers/promises";
import { Gauge, type Registry } from "prom-client";

/** A check without an answer by then fails: a mount hangs, or Redis is silent. */
const ANSWER_MS = 3000;

/** Exposes which checks fail at the time of a scrape. */
export function collectChecks(
  registry: Registry,
  checks: Readonly<Record<string, () => Promise<string | null>>>,
): void {
  new Gauge({
    name: "mirumoji_check_failing",
    help: "1 when a check of /readyz fails here.",
    labelNames: ["check"],
    registers: [registry],
    async collect() {
      const failing = Object.entries(checks).map(async ([check, ask]) => {
        const problem = await Promise.race([
          ask().catch(String),
          sleep(ANSWER_MS, "no answer", { ref: false }),
        ]);
        this.set({ check }, problem === null ? 0 : 1);
      });
      await Promise.all(failing);
    },
  });
}
