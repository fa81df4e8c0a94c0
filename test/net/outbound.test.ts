import { execFileSync } from "node:child_process";
import type { LookupAddress } from "node:dns";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fetch, request } from "undici";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { addressRules } from "../../src/net/addresses.ts";
import { openOutbound, type Resolve } from "../../src/net/outbound.ts";

let server: Server;
let port: number;
let hits: string[] = [];

beforeAll(async () => {
  server = createServer((incoming, answer) => {
    hits.push(incoming.url ?? "");
    if (incoming.url === "/away") answer.writeHead(302, { location: `http://127.0.0.2:${port}/end` });
    answer.end("here");
  });
  await new Promise<void>((done) => server.listen(0, "0.0.0.0", done));
  ({ port } = server.address() as AddressInfo);
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function outbound(privateNetworks: string[], answers: readonly string[][] = []) {
  hits = [];
  const asked: string[] = [];
  const resolve: Resolve = (name, _options, done) => {
    const addresses = answers[Math.min(asked.length, answers.length - 1)] ?? [];
    asked.push(name);
    done(
      null,
      addresses.map((address): LookupAddress => ({ address, family: 4 })),
    );
  };
  const opened = openOutbound({ privateNetworks, connectMs: 2000, resolve });
  onTestFinished(async () => {
    await opened.close();
  });
  const get = async (url: string) => {
    const { statusCode, body } = await request(url, { dispatcher: opened.agent });
    await body.dump();
    return statusCode;
  };
  return { ...opened, get, asked };
}

const NOT_ALLOWED = { code: "URL_NOT_ALLOWED" };

describe("a request to an address that a caller chose", () => {
  it("reaches nothing on this machine or in its network, by address or by name", async () => {
    const { get } = outbound([], [["127.0.0.1"]]);
    for (const host of [
      "127.0.0.1",
      "[::1]",
      "[::ffff:127.0.0.1]",
      "0",
      "2130706433",
      "0x7f.1",
      "evil.test",
    ]) {
      await expect(get(`http://${host}:${port}/`), host).rejects.toMatchObject(NOT_ALLOWED);
      await expect(get(`https://${host}:${port}/`), host).rejects.toMatchObject(NOT_ALLOWED);
    }
    expect(hits).toEqual([]);
  });

  it("reaches networks that the operator allows", async () => {
    const { get } = outbound(["127.0.0.1"], [["127.0.0.1"]]);
    expect(await get(`http://127.0.0.1:${port}/address`)).toBe(200);
    expect(await get(`http://intern.test:${port}/name`)).toBe(200);
    expect(hits).toEqual(["/address", "/name"]);
  });

  it("goes to an address that was checked, and to none that the name has beside it", async () => {
    const { get } = outbound(["127.0.0.1"], [["127.0.0.2", "127.0.0.1"]]);
    expect(await get(`http://both.test:${port}/`)).toBe(200);
  });

  it("resolves a name once for a connection, so that rebinding it gains nothing", async () => {
    const { get, asked } = outbound(["127.0.0.1"], [["127.0.0.1"], ["127.0.0.2"]]);
    expect(await get(`http://rebind.test:${port}/first`)).toBe(200);
    expect(asked).toEqual(["rebind.test"]);
    // Another origin is another connection, and its answer is checked like the first one.
    await expect(get(`https://rebind.test:${port}/second`)).rejects.toMatchObject(NOT_ALLOWED);
    expect(hits).toEqual(["/first"]);
  });

  it("is checked again where it is redirected to", async () => {
    const { agent } = outbound(["127.0.0.1"]);
    const followed = fetch(`http://127.0.0.1:${port}/away`, { dispatcher: agent });
    await expect(followed).rejects.toMatchObject({ cause: NOT_ALLOWED });
    expect(hits).toEqual(["/away"]);
  });

  it("does not go to a public address without TLS", async () => {
    const { get } = outbound([], [["8.8.8.8"]]);
    await expect(get("http://plain.test/")).rejects.toThrow("by https only");
  });

  it("does not tell the address that a name has inside", async () => {
    const { get } = outbound([], [["10.11.12.13"]]);
    await expect(get("https://inside.test/")).rejects.toThrow(
      /^inside\.test is no public address(?!.*10\.11)/u,
    );
  });

  it("is refused ahead of everything where its URL tells", () => {
    const { check } = outbound([]);
    for (const url of [
      "ftp://a.test/",
      "file:///etc/passwd",
      "a.test",
      "https://me:pw@a.test/",
      "https://10.0.0.1/",
    ]) {
      expect(() => check(url), url).toThrow(expect.objectContaining(NOT_ALLOWED));
    }
    expect(check("https://a.test/x").href).toBe("https://a.test/x");
  });
});

describe("the addresses that count as public", () => {
  it("are public to Python's ipaddress too", () => {
    const { isPublic } = addressRules([]);
    // Begin and end of each /12 and /16, and neighbours of the special networks.
    const v4 = Array.from({ length: 8192 }, (_, index) => `${index >> 5}.${(index & 31) * 8}.0.1`);
    const v6 = Array.from(
      { length: 4096 },
      (_, index) => `${(index * 16 + 1).toString(16)}:${index.toString(16)}::1`,
    );
    const open = [...v4, ...v6].filter((address) => isPublic(address));
    expect(open.length).toBeGreaterThan(6000);
    const script =
      "import ipaddress, sys\nfor line in sys.stdin.read().split():\n  if not ipaddress.ip_address(line).is_global: print(line)";
    expect(execFileSync("python3", ["-c", script], { input: open.join("\n"), encoding: "utf8" })).toBe("");
  });
});
