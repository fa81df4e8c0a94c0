import { ClientError, Status } from "nice-grpc";
import { expect, it } from "vitest";
import { identify } from "../../../src/modal/rpc/identity.ts";
import { scriptedSession } from "../../helpers/modal/scripted-session.ts";

const asked = async (answer: () => Promise<unknown>) =>
  await identify(scriptedSession({ environmentGetOrCreate: answer }), "https://api.modal.com:443");

it("is the environment of a server, and nothing where an older GPU host or another server does not say", async () => {
  const metadata = { name: "main", settings: { imageBuilderVersion: "2025.06", webhookSuffix: "" } };
  expect(await asked(async () => await Promise.resolve({ environmentId: "en-Ab12", metadata }))).toEqual({
    id: "en-Ab12",
    name: "environment main (en-Ab12) of api.modal.com",
  });
  expect(await asked(async () => await Promise.resolve({ environmentId: "en-main", metadata }))).toBeNull();
  const unknown = new ClientError("/x", Status.UNIMPLEMENTED, "no such method");
  expect(await asked(async () => await Promise.reject(unknown))).toBeNull();
  const refused = new ClientError("/x", Status.UNAUTHENTICATED, "no");
  await expect(asked(async () => await Promise.reject(refused))).rejects.toMatchObject({
    code: "MODAL_UNAUTHENTICATED",
  });
});
