/** Types of the wire, taken from the JS SDK that must understand us: a misspelt field does not compile. */
import type { ModalClient } from "modal";
import type { Client, ServiceImplementation } from "nice-grpc";

type ControlPlane = ModalClient["cpClient"] extends Client<infer Service, infer _Options> ? Service : never;
type Implementation = ServiceImplementation<ControlPlane>;

/** Name of a remote procedure as the SDK spells it, e.g. `volumeGetOrCreate`. */
export type Rpc = keyof Implementation;

/** A decoded request. Absent sub-messages are null or undefined, absent bytes undefined. */
export type Request<Name extends Rpc> = Parameters<Implementation[Name]>[0];

/** A group of RPC implementations. */
export type Handlers<Names extends Rpc> = Pick<Implementation, Names>;

/** A timestamp of the wire in milliseconds. The SDK's types have a Date here, which our codec does not make. */
export function milliseconds(wire: Date | undefined): number | undefined {
  const { seconds, nanos } = (wire ?? {}) as Partial<WireTimestamp>;
  return seconds === undefined ? undefined : seconds * 1000 + (nanos ?? 0) / 1e6;
}

/** Milliseconds as a timestamp of the wire. */
export function timestamp(ms: number): Date {
  const seconds = Math.floor(ms / 1000);
  const wire: WireTimestamp = { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
  return wire as unknown as Date;
}

interface WireTimestamp {
  readonly seconds: number;
  readonly nanos: number;
}
