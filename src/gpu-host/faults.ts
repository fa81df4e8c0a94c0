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
    const fault = this.#take(rpcFault, (candidate) => rpcName(candidate.rpc) === rpc);
    if (fault === undefined) return undefined;
    return { code: Status[fault.code as keyof typeof Status], lostAnswer: fault.lostAnswer };
  }

  throttle(rpc: string): { retryAfterSecs: number } | undefined {
    return this.#take(throttleFault, (candidate) => rpcName(candidate.rpc) === rpc);
  }

  cut(rpc: string): { cutAfter: number } | undefined {
    return this.#take(streamFault, (candidate) => rpcName(candidate.stream) === rpc);
  }

  block(method: "PUT" | "GET"): BlockBehaviour | undefined {
    return this.#take(blockFault, (candidate) => candidate.block === method)?.behaviour;
  }

  latencyMs(rpc: string): number {
    return this.#waiting
      .map((fault) => latencyFault.safeParse(fault).data)
      .filter((fault) => fault !== undefined && (fault.rpc === undefined || rpcName(fault.rpc) === rpc))
      .reduce((sum, fault) => sum + (fault?.latencyMs ?? 0), 0);
  }

  refusesEmptyMap(): boolean {
    return this.#waiting.some((fault) => emptyMapFault.safeParse(fault).success);
  }

  /** Why the next image cannot be built. */
  image(): string | undefined {
    return this.#take(imageFault, () => true)?.message;
  }

  #take<Schema extends z.ZodType<{ times: number }>>(
    schema: Schema,
    isMeant: (fault: z.infer<Schema>) => boolean,
  ): z.infer<Schema> | undefined {
    for (const [index, candidate] of this.#waiting.entries()) {
      const fault = schema.safeParse(candidate).data;
      if (fault === undefined || !isMeant(fault)) continue;
      if (fault.times > 1) this.#waiting[index] = { ...candidate, times: fault.times - 1 } as StandingFault;
      else this.#waiting.splice(index, 1);
      return fault;
    }
    return undefined;
  }
}
