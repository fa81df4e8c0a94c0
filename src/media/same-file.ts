import type { BigIntStats } from "node:fs";
import { lstat } from "node:fs/promises";
import { isMissing } from "./errno.ts";

/** Looks at a path itself, links not followed; null when nothing is there. */
export async function look(path: string): Promise<BigIntStats | null> {
  return await lstat(path, { bigint: true }).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
}

/** Whether two looks saw one regular file, under whatever names. */
export function isSameFile(
  one: Pick<BigIntStats, "dev" | "ino" | "isFile"> | null,
  other: Pick<BigIntStats, "dev" | "ino" | "isFile"> | null,
): boolean {
  if (one === null || other === null) return false;
  return one.isFile() && other.isFile() && one.dev === other.dev && one.ino === other.ino;
}
