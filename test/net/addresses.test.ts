import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addressRules } from "../../src/net/addresses.ts";

const { isPublic } = addressRules([]);

describe("public addresses", () => {
  it.each(["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])("include %s", (address) => {
    expect(isPublic(address)).toBe(true);
  });

  it.each([
    ["this machine", "127.0.0.1"],
    ["this machine, elsewhere in its network", "127.9.9.9"],
    ["this machine over IPv6", "::1"],
    ["no address", "0.0.0.0"],
    ["no address of IPv6", "::"],
    ["private", "10.1.2.3"],
    ["private", "172.16.0.1"],
    ["private", "192.168.1.1"],
    ["private IPv6", "fd00:ec2::254"],
    ["link-local, where clouds keep credentials", "169.254.169.254"],
    ["link-local IPv6", "fe80::1"],
    ["behind a carrier's NAT", "100.64.0.1"],
    ["multicast", "224.0.0.1"],
    ["multicast IPv6", "ff02::1"],
    ["broadcast", "255.255.255.255"],
    ["mapped", "::ffff:127.0.0.1"],
    ["mapped, in hexadecimal", "::ffff:7f00:1"],
    ["compatible", "::127.0.0.1"],
    ["translated (NAT64)", "64:ff9b::7f00:1"],
    ["translated locally (NAT64)", "64:ff9b:1::a00:1"],
    ["6to4", "2002:7f00:1::"],
    ["Teredo", "2001:0:7f00:1::"],
    ["documentation", "2001:db8::1"],
    ["benchmarks", "198.18.0.1"],
    ["no address at all", "localhost"],
  ])("are not those that are %s: %s", (_kind, address) => {
    expect(isPublic(address)).toBe(false);
  });

  it("are the same in IPv4 and mapped into IPv6, and never those of NAT64", () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(isPublic(`::ffff:${address}`)).toBe(isPublic(address));
        expect(isPublic(`64:ff9b::${address}`)).toBe(false);
      }),
    );
  });
});

describe("networks that the operator allows", () => {
  const { isAllowed } = addressRules(["10.0.0.0/8", "192.168.1.7", "fd00::/8"]);

  it.each(["10.255.0.1", "::ffff:10.0.0.1", "192.168.1.7", "fd12::1"])("include %s", (address) => {
    expect(isAllowed(address)).toBe(true);
  });

  it.each(["11.0.0.1", "192.168.1.8", "fe80::1", "::1", "8.8.8.8", "10.0.0"])(
    "do not include %s",
    (address) => {
      expect(isAllowed(address)).toBe(false);
    },
  );
});
