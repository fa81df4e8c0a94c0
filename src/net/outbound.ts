/**
 * Requests to addresses that callers chose (webhooks, inputs by URL). A name is resolved once, every address of it is
 * checked, and the connection goes to a checked one: a name that changes its mind (DNS rebinding) gains nothing. A
 * redirect is a request of its own, and so is checked again.
 */
import { lookup as systemLookup, type LookupAddress, type LookupOptions } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { Agent, buildConnector } from "undici";
import { MirumojiError } from "../job/errors.ts";
import { type AddressRules, addressRules } from "./addresses.ts";

/** Resolves a name to all its addresses. */
export type Resolve = (
  name: string,
  options: LookupOptions & { all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

export interface OutboundOptions {
  /** Networks that are reachable although they are not public. */
  readonly privateNetworks: readonly string[];
  /** Longest wait for a connection. */
  readonly connectMs: number;
  readonly resolve?: Resolve;
}

export interface Outbound {
  /**
   * Agent of undici for `request` and `fetch`, which reaches allowed addresses only: its requests fail with the
   * `MirumojiError` `URL_NOT_ALLOWED` otherwise (as the cause of fetch's TypeError).
   */
  readonly agent: Agent;
  /**
   * Checks what can be told without the network: the form, the scheme, an address in the place of a name. No name is
   * resolved.
   *
   * @throws MirumojiError `URL_NOT_ALLOWED`
   */
  readonly check: (url: string) => URL;
  close(): Promise<void>;
}

export function openOutbound({
  privateNetworks,
  connectMs,
  resolve = systemLookup,
}: OutboundOptions): Outbound {
  const rules = addressRules(privateNetworks);
  const byScheme = {
    "https:": buildConnector({ timeout: connectMs, lookup: checkedLookup(resolve, rules, true) }),
    "http:": buildConnector({ timeout: connectMs, lookup: checkedLookup(resolve, rules, false) }),
  };
  const agent = new Agent({
    connect: (options, done) => {
      try {
        const isSecure = options.protocol === "https:";
        checkLiteral(bare(options.hostname), rules, isSecure);
        byScheme[isSecure ? "https:" : "http:"](options, done);
      } catch (error) {
        done(error as Error, null);
      }
    },
  });
  return {
    agent,
    check: (text) => checkUrl(text, rules),
    close: async () => {
      await agent.destroy();
    },
  };
}

/**
 * Checks what can be told without the network, as `Outbound.check` does.
 *
 * @throws MirumojiError `URL_NOT_ALLOWED`
 */
export function checkOutboundUrl(
  text: string,
  { privateNetworks }: Pick<OutboundOptions, "privateNetworks">,
): URL {
  return checkUrl(text, addressRules(privateNetworks));
}

function checkUrl(text: string, rules: AddressRules): URL {
  if (!URL.canParse(text)) throw refused("this is no URL");
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw refused(`URLs must begin with https://, not ${url.protocol}`);
  }
  if (url.username !== "" || url.password !== "") throw refused("URLs must not have a name or a password");
  checkLiteral(bare(url.hostname), rules, url.protocol === "https:");
  return url;
}

/** Addresses pass no lookup, so they are checked here. */
function checkLiteral(host: string, rules: AddressRules, isSecure: boolean): void {
  if (isIP(host) !== 0 && !mayConnect(host, rules, isSecure)) throw refusedAddress(host, rules, isSecure);
}

/** A lookup that gives only addresses that may be connected to, and fails when there is none. */
function checkedLookup(resolve: Resolve, rules: AddressRules, isSecure: boolean): LookupFunction {
  return (name, options, done) => {
    resolve(name, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        done(error, "", 0);
        return;
      }
      const usable = addresses.filter(({ address }) => mayConnect(address, rules, isSecure));
      const [first] = usable;
      if (first === undefined) done(refusedAddress(name, rules, isSecure, addresses), "", 0);
      else if (options.all === true) done(null, usable);
      else done(null, first.address, first.family);
    });
  };
}

function mayConnect(address: string, rules: AddressRules, isSecure: boolean): boolean {
  return rules.isAllowed(address) || (isSecure && rules.isPublic(address));
}

/** The address behind a name stays untold: callers must not learn the inside of the operator's network. */
function refusedAddress(
  host: string,
  rules: AddressRules,
  isSecure: boolean,
  addresses: readonly LookupAddress[] = [{ address: host, family: 0 }],
): MirumojiError {
  const isPublic = addresses.some(({ address }) => rules.isPublic(address));
  if (isPublic && !isSecure) return refused(`${host} may be reached by https only`);
  return refused(`${host} is no public address, and its network is not in MIRUMOJI_PRIVATE_NETWORKS`);
}

function refused(message: string): MirumojiError {
  return new MirumojiError("URL_NOT_ALLOWED", message);
}

function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/gu, "");
}
