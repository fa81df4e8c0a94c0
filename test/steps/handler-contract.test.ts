import { expect, it } from "vitest";
import { parseRequest } from "../../src/job/parse-request.ts";
import { callInput } from "../../src/steps/call-input.ts";

it("is called with what a function works by, without the labels of the job", () => {
  const facts = { volumeId: "vo-1", remotePath: "a/b.mkv", inputBytes: 1, sentBytes: 1 };
  const made = { imageFunction: undefined, models: { allowed: [] } };
  const plain = { v: 1, input: "b.mkv", language: "en" };
  for (const type of ["transcribe", "convert"]) {
    const request = type === "convert" ? { v: 1, input: "b.mkv" } : plain;
    const labelled = { ...request, tenant: "ann", tags: ["season-1"] };
    expect(callInput(parseRequest(type, labelled), facts, made)).toEqual(
      callInput(parseRequest(type, request), facts, made),
    );
  }
});
