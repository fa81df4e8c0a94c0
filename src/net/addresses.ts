import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/** Addresses that an own request may go to, although a caller chose them. */
export interface AddressRules {
  /** Whether anybody may be sent there: an address of the public internet. */
  readonly isPublic: (address: string) => boolean;
  /** Whether the operator allowed it, public or not. */
  readonly isAllowed: (address: string) => boolean;
}

/**
 * Rules with exceptions of the operator.
 *
 * @param networks - addresses or networks (`10.0.0.0/8`, `fd00::/8`)
 */
export function addressRules(networks: readonly string[]): AddressRules {
  const allowed = networks.map((network) => {
    const [address = "", bits] = network.split("/");
    const parsed = ipaddr.process(address);
    const whole = parsed.kind() === "ipv4" ? 32 : 128;
    return { parsed, bits: bits === undefined ? whole : Number(bits) };
  });
  return {
    isPublic: (address) => {
      if (isIP(address) === 0) return false;
      // `process` reads an IPv4 address that is mapped into IPv6 as what it is.
      const parsed = ipaddr.process(address);
      if (parsed.range() !== "unicast") return false;
      // Everything else of IPv6 is not given out yet, or translates to IPv4 somewhere on the way.
      return parsed instanceof ipaddr.IPv4 || (parsed.parts[0] ?? 0) >> 13 === 1;
    },
    isAllowed: (address) => {
      if (isIP(address) === 0) return false;
      const given = ipaddr.process(address);
      return allowed.some(({ parsed, bits }) => parsed.kind() === given.kind() && given.match(parsed, bits));
    },
  };
}
