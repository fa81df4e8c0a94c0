/** The types of the wire, taken from the client that must understand us: a field we misspell does not compile. */
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
