const HIDDEN = "[hidden]";

/** Minimum length of a secret; shorter values occur in ordinary words. */
const SHORTEST_SECRET = 4;

/** Fields whose values are always hidden. */
const SECRET_NAME = /token|secret|passw|authori[sz]ation|credential|cookie|api_?key|private_?key/iu;

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // Credentials in a URL: scheme://name:password@host.
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/"'@]*(?:@[^\s/"'@]*)*@/giu, `$1${HIDDEN}@`],
  // Query parameters that carry a signature or grant access.
  [
    /([?&](?:[\w-]*(?:token|secret|signature|password|credential)|sig|key|api_?key)=)[^&\s"'\\]+/giu,
    `$1${HIDDEN}`,
  ],
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
    return PATTERNS.reduce((rest, [pattern, shown]) => rest.replace(pattern, shown), plain);
  };
}

/**
 * Removes secrets from a value of any shape; fields with a name like `token` or `password` are hidden whole.
 */
export function redactValue(value: unknown, redact: (text: string) => string): unknown {
  if (typeof value === "string") return redact(value);
  if (Array.isArray(value)) return value.map((item) => redactValue(item, redact));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      SECRET_NAME.test(name) && item !== null ? HIDDEN : redactValue(item, redact),
    ]),
  );
}
