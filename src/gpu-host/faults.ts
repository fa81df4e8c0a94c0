import { Status } from "nice-grpc";
import { z } from "zod";
import { rpcName } from "./protocol.ts";

const times = z.int().positive().default(1);
const code = z.enum(
  Object.keys(Status).filter((name) => Number.isNaN(Number(name))) as [string, ...string[]],
);

const rpcFault = z.strictObject({
  rpc: z.string(),
  code,
  times,
  /** The RPC is done and only its answer is lost. */
  lostAnswer: z.boolean().default(false),
});
const throttleFault = z.strictObject({ rpc: z.string(), retryAfterSecs: z.number().positive(), times });
const streamFault = z.strictObject({ stream: z.string(), cutAfter: z.int().nonnegative(), times });
const blockFault = z.strictObject({
  block: z.enum(["PUT", "GET"]),
  behaviour: z.enum(["403", "500", "503", "wrong-bytes", "short", "drop"]),
  times,
});
const latencyFault = z.strictObject({ latencyMs: z.int().positive(), rpc: z.string().optional() });
const emptyMapFault = z.strictObject({ kind: z.literal("refuse-empty-map") });
const imageFault = z.strictObject({
  image: z.literal("fail"),
  message: z.string().default("The image cannot be pulled"),
  times,
});
const resultFault = z.strictObject({
  /** Number of the status that the next input to end has. */
  result: z.int(),
  times,
});
const vanishFault = z.union([
  z.strictObject({ volume: z.literal("vanish"), id: z.string() }),
  z.strictObject({ app: z.literal("vanish"), id: z.string() }),
  z.strictObject({ call: z.literal("lose"), id: z.string() }),
]);

const standingFault = z.union([
  rpcFault,
  throttleFault,
  streamFault,
  blockFault,
  latencyFault,
  emptyMapFault,
  imageFault,
  resultFault,
]);

/** Things that can be made to go wrong, for tests. */
export const faultSchema = z.union([standingFault, vanishFault]);

export type Fault = z.input<typeof faultSchema>;
export type VanishFault = z.infer<typeof vanishFault>;
export type BlockBehaviour = z.infer<typeof blockFault>["behaviour"];
type StandingFault = z.infer<typeof standingFault>;

/** The faults that wait for their moment. Each question uses one of them up. */
export class Faults {
  #waiting: StandingFault[] = [];

  add(fault: StandingFault): void {
    this.#waiting.push(fault);
  }

  clear(): void {
    this.#waiting = [];
  }

  status(rpc: string): { code: Status; lostAnswer: boolean } | undefined {
    const fault = this.#take((item) => "code" in item && rpcName(item.rpc) === rpc && item);
    return fault && { code: Status[fault.code as keyof typeof Status], lostAnswer: fault.lostAnswer };
  }

  throttle(rpc: string): { retryAfterSecs: number } | undefined {
    return this.#take((item) => "retryAfterSecs" in item && rpcName(item.rpc) === rpc && item);
  }

  cut(rpc: string): { cutAfter: number } | undefined {
    return this.#take((item) => "cutAfter" in item && rpcName(item.stream) === rpc && item);
  }

  block(method: "PUT" | "GET"): BlockBehaviour | undefined {
    return this.#take((item) => "block" in item && item.block === method && item)?.behaviour;
  }

  /** Why the next image cannot be built. */
  image(): string | undefined {
    return this.#take((item) => "image" in item && item)?.message;
  }

  /** Status that the input which ends now is to have. */
  result(): number | undefined {
    return this.#take((item) => "result" in item && item)?.result;
  }

  /** Holds until the faults are cleared. */
  latencyMs(rpc: string): number {
    const concerns = (item: StandingFault) =>
      "latencyMs" in item && (item.rpc === undefined || rpcName(item.rpc) === rpc) ? item.latencyMs : 0;
    return this.#waiting.reduce((sum, item) => sum + concerns(item), 0);
  }

  /** Holds until the faults are cleared. */
  refusesEmptyMap(): boolean {
    return this.#waiting.some((item) => "kind" in item);
  }

  /** Finds the first fault that `select` gives back, and counts it down. */
  #take<Wanted extends { times: number }>(
    select: (item: StandingFault) => Wanted | false,
  ): Wanted | undefined {
    for (const [index, item] of this.#waiting.entries()) {
      const fault = select(item);
      if (fault === false) continue;
      if (fault.times > 1) fault.times -= 1;
      else this.#waiting.splice(index, 1);
      return fault;
    }
    return undefined;
  }
}
