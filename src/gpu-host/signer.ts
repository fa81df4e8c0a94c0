import { createHmac, timingSafeEqual } from "node:crypto";

/** Makes and checks the tokens that clients bring back: in URLs, put responses and sessions. */
export class Signer {
  readonly #key: Buffer;
  readonly #now: () => number;

  constructor(key: Buffer, now: () => number) {
    this.#key = key;
    this.#now = now;
  }

  /** A URL-safe token that holds `claims` until `ttlMs` have passed. */
  sign(claims: object, ttlMs: number): string {
    const payload = encode({ ...claims, expiresAt: this.#now() + ttlMs });
    return `${payload}.${this.#mac(payload)}`;
  }

  /** The claims of a token of ours; undefined when it is forged, damaged or expired. */
  open(token: string): Record<string, unknown> | undefined {
    const [payload = "", mac = ""] = token.split(".");
    if (!same(mac, this.#mac(payload))) return undefined;
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>;
    return Number(claims["expiresAt"]) > this.#now() ? claims : undefined;
  }

  /** A JSON web token, the form in which the SDKs expect their session token. */
  jwt(ttlMs: number): string {
    const exp = Math.floor((this.#now() + ttlMs) / 1000);
    const body = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ exp })}`;
    return `${body}.${this.#mac(body)}`;
  }

  jwtIsValid(token: string): boolean {
    const [header = "", body = "", mac = ""] = token.split(".");
    if (!same(mac, this.#mac(`${header}.${body}`))) return false;
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as { exp: number };
    return claims.exp * 1000 > this.#now();
  }

  /** A secret for a purpose, the same for as long as the key is. */
  derive(purpose: string): string {
    return this.#mac(`derive:${purpose}`);
  }

  #mac(text: string): string {
    return createHmac("sha256", this.#key).update(text).digest("base64url");
  }
}

/** Compares two secrets without telling by the time it takes where they differ. */
export function same(left: string, right: string): boolean {
  const a = Buffer.from(left);
  const b = Buffer.from(right);
  return a.length === b.length && timingSafeEqual(a, b);
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
