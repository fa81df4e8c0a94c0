import type { InputIdentity } from "./facts.ts";

/** A word on how an input differs from what it was; null when it does not, as far as can be told. */
export function differenceOf(before: InputIdentity, now: InputIdentity): string | null {
  if (before.sizeBytes !== null && now.sizeBytes !== null && before.sizeBytes !== now.sizeBytes) {
    return `it had ${before.sizeBytes} bytes and has ${now.sizeBytes}`;
  }
  if (before.etag !== undefined && now.etag !== undefined) {
    return before.etag === now.etag ? null : "its ETag is a new one";
  }
  if (before.modified === undefined || now.modified === undefined) return null;
  return before.modified === now.modified ? null : `it was modified (${now.modified})`;
}
