/**
 * Lifetime of a presigned URL, as far as the URL itself states it: S3 and R2 (`X-Amz-Expires`), Google
 * (`X-Goog-Expires`), the old S3 form (`Expires`) and Azure (`se`).
 */
export function urlLifetimeSeconds(url: string, now: number): number | null {
  const { searchParams } = new URL(url);
  const named = (name: string): string | null =>
    [...searchParams].find(([key]) => key.toLowerCase() === name)?.[1] ?? null;
  const span = Number(named("x-amz-expires") ?? named("x-goog-expires") ?? Number.NaN);
  if (Number.isFinite(span)) return span;
  const until = Number(named("expires") ?? Number.NaN) * 1000;
  const at = Number.isFinite(until) ? until : Date.parse(named("se") ?? "");
  return Number.isFinite(at) ? Math.round((at - now) / 1000) : null;
}

/** Describes the lifetime of a URL, as far as it and its answer show it. */
export function visibleLifetime(url: string, now: number): string | number {
  return urlLifetimeSeconds(url, now) ?? `not visible (${new URL(url).host})`;
}

/** Lifetime of a JWT; null when it has none. */
export function secondsUntilExpiry(token: string, now = Date.now()): number | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    if (typeof claims !== "object" || claims === null || !("exp" in claims)) return null;
    return typeof claims.exp === "number" ? Math.round(claims.exp - now / 1000) : null;
  } catch {
    return null;
  }
}
