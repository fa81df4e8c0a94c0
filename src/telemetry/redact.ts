const HIDDEN = "[hidden]";

/** Minimum length of a secret; shorter values occur in ordinary words. */
const SHORTEST_SECRET = 4;

/** Fields whose values are always hidden. */
const SECRET_NAME = /token|secret|passw|authori[sz]ation|credential|cookie|api_?key|private_?key|webhook/iu;

/** Deeper values are made to break programs; a request of ours has three levels. */
const DEEPEST = 32;

/** Query parameters; those whose names sign or open something are hidden. */
const PARAMETER = /([?&])([\w-]+)=[^&\s"'\\]+/gu;
const OPENING = /(?:token|secret|signature|password|credential)$|^(?:sig|key|api_?key)$/iu;

/** Text comes from outside: each pattern takes time in proportion to its length, whatever is in it. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // Credentials in a URL: scheme://name:password@host. Looking back spares a scan from every letter that could begin one.
  [/(?<=[a-z0-9+.-]:\/\/)[^\s/"']*@/giu, `${HIDDEN}@`],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/giu, `$1 ${HIDDEN}`],
];

/**
 * Removes secrets from text: the given values wherever they occur, and anything that looks like one
 * (passwords in URLs, signed query parameters, authorisation headers).
 */
export function createRedactor(secrets: readonly string[] = []): (text: string) => string {
  const known = [...new Set(secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]))]
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    // Longer secrets first: one may contain another, and its remainder must not stay behind.
    .toSorted((a, b) => b.length - a.length);
  return (text) => {
    const plain = known.reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text);
    const shown = plain.replace(PARAMETER, (parameter, mark: string, name: string) =>
      OPENING.test(name) ? `${mark}${name}=${HIDDEN}` : parameter,
    );
    return PATTERNS.reduce((rest, [pattern, instead]) => rest.replace(pattern, instead), shown);
  };
}

/**
 * Removes secrets from a value of any shape; fields with a name like `token` or `password` are hidden whole, and so is what
 * lies deeper than any value of ours.
 */
export function redactValue(value: unknown, redact: (text: string) => string, depth = 0): unknown {
  if (typeof value === "string") return redact(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= DEEPEST) return HIDDEN;
  if (Array.isArray(value)) return value.map((item) => redactValue(item, redact, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      redact(name),
      isSecret(name, item) ? HIDDEN : redactValue(item, redact, depth + 1),
    ]),
  );
}

/** A number by such a name counts something; no secret of ours or of any service is one. */
function isSecret(name: string, item: unknown): boolean {
  return SECRET_NAME.test(name) && (typeof item === "string" || (typeof item === "object" && item !== null));
}
