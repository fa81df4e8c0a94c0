/**
 * Values of Modal's protocol enums. The SDK's own enums are not exported; the numbers are part of the
 * wire format and cannot change (`modal-wire` appendix B).
 */

export const APP_STATE = { ephemeral: 1, deployed: 3, stopping: 4, stopped: 5, initializing: 6 } as const;

export const APP_DISCONNECT_REASON = { completed: 3, registrationFailed: 4 } as const;

export const OBJECT_CREATION = {
  lookup: 0,
  createIfMissing: 1,
  anonymousOwnedByApp: 4,
  ephemeral: 5,
} as const;

export const NAMESPACE = { workspace: 1, global: 3 } as const;

export const VOLUME_VERSION_2 = 2;

/** `RegistryAuthType`: a secret with `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`. */
export const REGISTRY_AUTH_STATIC_CREDS = 4;

export const DATA_FORMAT = { pickle: 1, cbor: 4 } as const;

export const FUNCTION_TYPE_FUNCTION = 2;
export const DEFINITION_TYPE_FILE = 2;
export const FUNCTION_SCHEMA_V1 = 1;
export const PARAM_TYPE_UNKNOWN = 5;

export const FUNCTION_CALL_UNARY = 1;
/** One ID, many inputs. */
export const FUNCTION_CALL_MAP = 2;
/** Invocation type of Python's `spawn`: the input is durable and the result is kept. */
export const INVOCATION_ASYNC = 3;

/** `GenericResult.status`. */
export const RESULT = {
  unspecified: 0,
  success: 1,
  failure: 2,
  terminated: 3,
  timeout: 4,
  initFailure: 5,
  internalFailure: 6,
  idleTimeout: 7,
  memoryManagerEviction: 8,
  // Both since the Python SDK 1.6.3.
  memoryThrashingEviction: 9,
  kernelOomKill: 10,
} as const;

/** `TaskLogs.file_descriptor`. */
export const FILE_DESCRIPTOR = { stdout: 1, stderr: 2 } as const;

/** `FileEntry.type`. */
export const FILE_ENTRY = { file: 1, directory: 2 } as const;

/** The longest long poll that Modal serves, in seconds (`FunctionGetOutputs`, streams). */
export const LONG_POLL_SECONDS = 55;

/** Added to a long poll's own timeout to get our deadline; covers the round trip. */
export const LONG_POLL_GRACE_MS = 10_000;

/** Pause between two streams that ended normally, so that a server that ends them at once is not polled in a loop. */
export const STREAM_PAUSE_MS = 200;
