import { ClientError, Status } from "nice-grpc";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { disconnectApp } from "../../../src/modal/apps/app.ts";
import { keepAppAlive } from "../../../src/modal/apps/keep-alive.ts";
import { scriptedSession } from "../../helpers/modal/scripted-session.ts";

const refusal = (status: Status): ClientError => new ClientError("/AppHeartbeat", status, "words");

describe("the heartbeat of an app", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  /** Beats for some seconds against a server that answers as the test says, beat by beat. */
  async function beatFor(seconds: number, answer: (count: number) => object) {
    const errors: string[] = [];
    let beats = 0;
    const session = scriptedSession({
      appHeartbeat: async () => {
        const given = answer(++beats);
        if (given instanceof Error) throw given;
        return given;
      },
    });
    const heartbeat = keepAppAlive(session, { appId: "ap-1", onError: ({ code }) => errors.push(code) });
    await vi.advanceTimersByTimeAsync(seconds * 1000);
    return { heartbeat, errors, beats: () => beats };
  }

  test("goes out at once and every 15 seconds", async () => {
    const { heartbeat, beats } = await beatFor(0, () => ({}));
    expect(beats()).toBe(1);
    await vi.advanceTimersByTimeAsync(45_000);
    expect(beats()).toBe(4);
    heartbeat.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(beats()).toBe(4);
  });

  test("goes on after a failure, which is reported", async () => {
    const { heartbeat, errors, beats } = await beatFor(31, (count) =>
      count === 2 ? refusal(Status.UNAVAILABLE) : {},
    );
    expect(errors).toEqual(["MODAL_UNAVAILABLE"]);
    expect(beats()).toBe(3);
    heartbeat.stop();
  });

  test.each(["NOT_FOUND", "FAILED_PRECONDITION"] as const)(
    "ends with the app (%s), said once",
    async (status) => {
      const { errors, beats } = await beatFor(100, () => refusal(Status[status]));
      expect(errors).toEqual(["APP_LOST"]);
      expect(beats()).toBe(1);
    },
  );
});

describe("ending an app", () => {
  test("that is gone already is success, and other failures are not hidden", async () => {
    const ending = async (status: Status): Promise<void> => {
      const session = scriptedSession({
        appClientDisconnect: async () => {
          throw refusal(status);
        },
      });
      await disconnectApp(session, { appId: "ap-1" });
    };
    await ending(Status.NOT_FOUND);
    await ending(Status.FAILED_PRECONDITION);
    await expect(ending(Status.UNAVAILABLE)).rejects.toMatchObject({ code: "MODAL_UNAVAILABLE" });
  });

  test("after a failure tells the server why, in at most 1000 characters", async () => {
    const session = scriptedSession({ appClientDisconnect: async () => ({}) });
    await disconnectApp(session, { appId: "ap-1", failure: new Error("x".repeat(5000)) });
    expect(session.asked[0]?.[1]).toMatchObject({ reason: 4, exception: "x".repeat(1000) });
  });
});
