/** Numbers of the wire's enumerations, for the values that the host reads or sets. */

export const AppState = { EPHEMERAL: 1, DETACHED: 2, DEPLOYED: 3, STOPPED: 5, INITIALIZING: 6 } as const;

export const ClientType = { PYTHON: 1, JAVASCRIPT: 8 } as const;

export const CreationType = {
  LOOKUP: 0,
  CREATE_IF_MISSING: 1,
  CREATE_FAIL_IF_EXISTS: 2,
  OWNED_BY_APP: 4,
  EPHEMERAL: 5,
} as const;

export const DataFormat = { PICKLE: 1, CBOR: 4 } as const;

export const DefinitionType = { FILE: 2 } as const;

export const FileDescriptor = { STDOUT: 1, STDERR: 2, INFO: 3 } as const;

export const FileType = { FILE: 1, DIRECTORY: 2, SYMLINK: 3 } as const;

export const FunctionType = { FUNCTION: 2 } as const;

export const FunctionCallType = { UNARY: 1, MAP: 2 } as const;

export const Namespace = { GLOBAL: 3 } as const;

export const ResultStatus = {
  SUCCESS: 1,
  FAILURE: 2,
  TERMINATED: 3,
  TIMEOUT: 4,
  INIT_FAILURE: 5,
  INTERNAL_FAILURE: 6,
} as const;
export type ResultStatus = (typeof ResultStatus)[keyof typeof ResultStatus];

export const TaskState = { QUEUED: 1, ACTIVE: 4, COMPLETED: 5 } as const;
