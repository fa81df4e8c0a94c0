/** The gRPC failures that the host answers with. */
import { ServerError, Status } from "nice-grpc";

export const notFound = (what: string) => new ServerError(Status.NOT_FOUND, `${what} not found`);

export const alreadyExists = (what: string) =>
  new ServerError(Status.ALREADY_EXISTS, `${what} already exists`);

export const invalidArgument = (why: string) => new ServerError(Status.INVALID_ARGUMENT, why);

export const failedPrecondition = (why: string) => new ServerError(Status.FAILED_PRECONDITION, why);

export const unauthenticated = (why: string) => new ServerError(Status.UNAUTHENTICATED, why);

/** For what Modal can do and this host cannot: said aloud instead of ignored. */
export const notServed = (what: string) =>
  new ServerError(Status.UNIMPLEMENTED, `The GPU host does not do ${what}`);
