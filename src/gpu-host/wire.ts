/** The types of the wire, taken from the client that must understand us: a field we misspell does not compile. */
import type { ModalClient } from "modal";
import type { Client, ServiceImplementation } from "nice-grpc";

type ControlPlane = ModalClient["cpClient"] extends Client<infer Service, infer _Options> ? Service : never;
type Implementation = ServiceImplementation<ControlPlane>;

/** Name of a remote procedure as the SDK spells it, e.g. `volumeGetOrCreate`. */
export type Rpc = keyof Implementation;

/** A decoded request. Absent sub-messages are null or undefined, absent bytes undefined. */
export type Request<Name extends Rpc> = Parameters<Implementation[Name]>[0];

/** What an answer may hold; what is left out has its default on the wire. */
export type Answer<Name extends Rpc> = Awaited<ReturnType<Implementation[Name]>>;

/** A group of RPC implementations. */
export type Handlers<Names extends Rpc> = Pick<Implementation, Names>;

/** One element of a server stream. */
export type StreamItem<Name extends Rpc> =
  ReturnType<Implementation[Name]> extends AsyncIterable<infer Item> ? Item : never;
