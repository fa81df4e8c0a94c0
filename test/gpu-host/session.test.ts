import { connect as connectHttp2 } from "node:http2";
import { createChannel, createClient, Metadata, Status } from "nice-grpc";
import { afterEach, describe, expect, test } from "vitest";
import { controlPlane } from "../../src/gpu-host/protocol.ts";
import { connect, newVolume, orderFault, startHost, undoAll } from "../helpers/gpu-host/host.ts";

afterEach(undoAll);

/** A client that sends exactly the headers it is given. */
function bareClient(serverUrl: string, headers: Record<string, string>) {
  const client = createClient(controlPlane, createChannel(serverUrl)) as unknown as Record<
    string,
    (request: object, options: object) => Promise<{ token: string; volumeId: string }>
  >;
  return async (rpc: string, request: object = {}, more: Record<string, string> = {}) => {
    const answer = client[rpc]?.(request, { metadata: new Metadata({ ...headers, ...more }) });
    if (answer === undefined) throw new Error(`No RPC ${rpc}`);
    return await answer;
  };
}

describe("authentication", () => {
  test("a wrong token is refused before anything is done", async () => {
    const host = await startHost();

    for (const wrong of [{ tokenId: "ak-other" }, { tokenSecret: "as-other" }]) {
      const attempt = newVolume(connect(host, wrong));
      await expect(attempt).rejects.toMatchObject({ code: Status.UNAUTHENTICATED });
    }
    expect(host.stats().volumes.created).toBe(0);
  });

  test("a stranger is refused by the headers, before anything of the message is read", async () => {
    const host = await startHost();
    const http2 = connectHttp2(host.serverUrl);
    try {
      const stream = http2.request({
        ":method": "POST",
        ":path": "/modal.client.ModalClient/MountPutFile",
        "content-type": "application/grpc",
        "x-modal-client-type": "1",
        "x-modal-client-version": "1.5.4",
      });
      // The head of a message of 90 MB, of which nothing more ever comes.
      stream.write(Buffer.from([0, 5, 0x5d, 0x4a, 0x80]));
      const trailers = await new Promise<Record<string, unknown>>((resolve, reject) => {
        stream.on("trailers", resolve);
        stream.on("response", (headers) => "grpc-status" in headers && resolve(headers));
        stream.on("error", reject);
      });
      expect(trailers["grpc-status"]).toBe(String(Status.UNAUTHENTICATED));
    } finally {
      http2.destroy();
    }
  });

  test("the JavaScript client needs the session token that it was given", async () => {
    let time = Date.now();
    const { serverUrl, tokenId, tokenSecret } = await startHost({ now: () => time });
    const headers = {
      "x-modal-client-type": "8",
      "x-modal-client-version": "1.0.0",
      "x-modal-token-id": tokenId,
      "x-modal-token-secret": tokenSecret,
    };
    const send = bareClient(serverUrl, headers);
    const { token } = await send("authTokenGet");

    const refused = { code: Status.UNAUTHENTICATED };
    await expect(send("clientHello")).rejects.toMatchObject(refused);
    await expect(send("clientHello", {}, { "x-modal-auth-token": `${token}x` })).rejects.toMatchObject(
      refused,
    );
    await send("clientHello", {}, { "x-modal-auth-token": token });
    time += 2 * 60 * 60 * 1000;
    await expect(send("clientHello", {}, { "x-modal-auth-token": token })).rejects.toMatchObject(refused);
  });

  test("a client that does not say what it is is turned away", async () => {
    const { serverUrl, tokenId, tokenSecret } = await startHost();
    const token = { "x-modal-token-id": tokenId, "x-modal-token-secret": tokenSecret };
    const refused = { code: Status.FAILED_PRECONDITION };

    await expect(bareClient(serverUrl, token)("clientHello")).rejects.toMatchObject(refused);
    const container = { ...token, "x-modal-client-type": "3", "x-modal-client-version": "1.5.4" };
    await expect(bareClient(serverUrl, container)("clientHello")).rejects.toMatchObject(refused);
    await bareClient(serverUrl, { ...container, "x-modal-client-type": "1" })("clientHello");
  });

  test("the statistics ask for their token", async () => {
    const host = await startHost();
    const { origin, searchParams } = new URL(host.statsUrl);
    const status = async (path: string, headers: Record<string, string> = {}) =>
      (await fetch(`${origin}${path}`, { headers })).status;

    expect(await status("/stats")).toBe(401);
    expect(await status("/stats?token=wrong")).toBe(401);
    expect(await status("/stats", { Authorization: `Bearer ${searchParams.get("token")}` })).toBe(200);
    expect(await status("/elsewhere")).toBe(404);
  });

  test("probes are for everybody, and a model that is missing makes the host not ready", async () => {
    const engine = {
      engine: "faster-whisper",
      model: "large",
      languages: ["en"],
      problem: "/x/large is no model",
    };
    let isUsable = false;
    let now = Date.now();
    const host = await startHost({
      now: () => now,
      inspectEngines: async () => await Promise.resolve([{ ...engine, isUsable }]),
    });
    const { origin } = new URL(host.statsUrl);
    const ask = async (path: string) => {
      const answer = await fetch(`${origin}${path}`);
      return { status: answer.status, body: await answer.json() };
    };
    expect(await ask("/livez")).toEqual({ status: 200, body: { ok: true } });
    const checks = { engine: expect.stringMatching(/cannot use the model large/u) as unknown, disk: null };
    const engines = [{ engine: "faster-whisper", model: "large", isUsable: false }];
    const refused = await ask("/readyz");
    expect(refused).toEqual({ status: 503, body: { ok: false, checks, engines } });
    expect(JSON.stringify(refused)).not.toContain("/x/");
    isUsable = true;
    now += 5000;
    expect(await ask("/readyz")).toMatchObject({
      status: 200,
      body: { ok: true, engines: [{ isUsable: true }] },
    });
    const silent = await startHost();
    expect((await fetch(`${new URL(silent.statsUrl).origin}/readyz`)).status).toBe(503);
  });

  test("what the host does not do is answered as unimplemented", async () => {
    const cp = connect(await startHost());

    await expect(cp.sandboxCreate({})).rejects.toMatchObject({ code: Status.UNIMPLEMENTED });
    await expect(cp.volumeGetOrCreate({ objectCreationType: 4, version: 2 })).rejects.toMatchObject({
      code: Status.UNIMPLEMENTED,
    });
  });
});

describe("idempotency", () => {
  test("an SDK that never got the answer and asks again is given the same volume", async () => {
    const host = await startHost();
    const cp = connect(host);
    await orderFault(host, { rpc: "VolumeGetOrCreate", code: "UNAVAILABLE", lostAnswer: true });

    const volumeId = await newVolume(cp);

    expect(host.stats().volumes).toMatchObject({ live: 1, created: 1 });
    expect((await cp.volumeGetById({ volumeId })).volumeId).toBe(volumeId);
  });

  test("a key stands for one request only, and failures are tried again", async () => {
    const host = await startHost();
    const send = bareClient(host.serverUrl, {
      "x-modal-client-type": "1",
      "x-modal-client-version": "1.5.4",
      "x-modal-token-id": host.tokenId,
      "x-modal-token-secret": host.tokenSecret,
    });
    const create = async (key: string) =>
      (await send("volumeGetOrCreate", { objectCreationType: 5 }, { "x-idempotency-key": key })).volumeId;

    const [first, second, other] = await Promise.all([create("one"), create("one"), create("two")]);

    expect(second).toBe(first);
    expect(other).not.toBe(first);
    const lookup = { "x-idempotency-key": "three" };
    await expect(send("volumeGetOrCreate", { deploymentName: "late" }, lookup)).rejects.toThrow("not found");
    await send("volumeGetOrCreate", { deploymentName: "late", objectCreationType: 1 });
    expect((await send("volumeGetOrCreate", { deploymentName: "late" }, lookup)).volumeId).toMatch(/^vo-/);
  });

  test("every request is shown to a recorder by its name on the wire", async () => {
    const seen: string[] = [];
    const cp = connect(await startHost({ onRequest: (rpc) => seen.push(rpc) }));

    await newVolume(cp);

    expect(seen).toEqual(["AuthTokenGet", "VolumeGetOrCreate"]);
  });
});
