/**
 * Gives what was read, with the fields that this version does not know as they were stored: a newer worker wrote them,
 * and may go on with the record after this one.
 */
export function keepUnknown<T>(read: T, stored: unknown): T {
  return merged(read, stored) as T;
}

function merged(read: unknown, stored: unknown): unknown {
  if (Array.isArray(read)) {
    const isSameList = Array.isArray(stored) && stored.length === read.length;
    return isSameList ? read.map((item, index) => merged(item, stored[index])) : read;
  }
  if (!isRecord(read) || !isRecord(stored)) return read;
  const known = Object.entries(read).map(([name, value]) => [name, merged(value, stored[name])] as const);
  return { ...stored, ...Object.fromEntries(known) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
