/** Whether node says that a file does not exist. */
export function isMissing(error: unknown): boolean {
  return hasErrno(error, "ENOENT", "ENOTDIR");
}

/** Whether node's error has one of these `errno` names. */
export function hasErrno(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof Error && "code" in error && names.some((name) => error.code === name);
}
