const HIDDEN = "[hidden]";

/** Shorter ones would turn up in ordinary words. */
const SHORTEST_SECRET = 4;

/** Names of fields whose values are never shown. */
const SECRET_NAME = /token|secret|passw|authori[sz]ation|credential|cookie|api_?key|private_?key/iu;

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // Credentials in a URL: scheme://name:password@host.
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/"'@]*(?:@[^\s/"'@]*)*@/giu, `$1${HIDDEN}@`],
  // Query parameters that sign or open something.
  [
    /([?&](?:[\w-]*(?:token|secret|signature|password|credential)|sig|key|api_?key)=)[^&\s"'\\]+/giu,
    `$1${HIDDEN}`,
  ],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/giu, `$1 ${HIDDEN}`],
];

/**
 * Takes secrets out of text: those given, wherever they turn up, and what looks like one (passwords in URLs,
 * signed query parameters, authorisation headers).
 */
export function createRedactor(secrets: readonly string[] = []): (text: string) => string {
  const known = [...new Set(secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]))]
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    // A secret that is part of another one must not leave the rest of that one behind.
    .toSorted((a, b) => b.length - a.length);
  return (text) => {
    const plain = known.reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text);
    return PATTERNS.reduce((rest, [pattern, shown]) => rest.replace(pattern, shown), plain);
  };
}

/** The same for a value of any shape; fields with a name like `token` or `password` are hidden whole. */
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
