import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toMirumojiError } from "../../src/job/errors.ts";
import { differenceOf } from "../../src/job/input-identity.ts";
import { parseRequest } from "../../src/job/parse-request.ts";
import { planOutputs, remoteInputPath } from "../../src/job/paths.ts";
import { fileNameOf, isElsewhere, placeOf, shownPlace, withShownPlaces } from "../../src/job/places.ts";
import { viewOf } from "../../src/queue/job-view.ts";

function codeOf(action: () => unknown): string {
  try {
    action();
    return "accepted";
  } catch (error) {
    return toMirumojiError(error).code;
  }
}

const outputsOf = (request: object) =>
  planOutputs(parseRequest("transcribe", { v: 1, ...request })).map(({ path }) => path);

describe("places", () => {
  it("are read as what they are", () => {
    expect(placeOf("s3://media/films/a/b c.mkv", "input")).toEqual({
      kind: "object",
      connection: "media",
      bucket: "films",
      key: "a/b c.mkv",
    });
    expect(placeOf("HTTPS://Host.example/a.mkv?x=1", "input")).toMatchObject({ kind: "url" });
    expect(["https://a/b", "s3://a/b/c", "http://a"].map(isElsewhere)).toEqual([true, true, true]);
    expect(["film.mkv", "https:/a", "a/https://b"].map(isElsewhere)).toEqual([false, false, false]);
  });

  it("that hold a password or are none are refused", () => {
    for (const input of [
      "https://user:pass@host/a",
      "https://user@host/a",
      "https://[",
      "s3://a/b",
      "s3://a/b/",
    ]) {
      expect(
        codeOf(() => parseRequest("convert", { v: 1, input })),
        input,
      ).toBe("REQUEST_INVALID");
    }
  });

  it("never show what opens them", () => {
    const query = fc.stringMatching(/^[a-z0-9]{9,20}$/u);
    fc.assert(
      fc.property(fc.webUrl(), query, (url, secret) => {
        const signed = `${url.replace(/[?#].*/u, "")}?sig=${secret}`;
        const view = viewOf(
          {
            name: "transcribe",
            data: { v: 1, input: signed },
            progress: null,
            returnvalue: null,
            timestamp: 0,
          },
          "waiting",
        );
        for (const shown of [
          shownPlace(signed),
          JSON.stringify(view),
          JSON.stringify(withShownPlaces({ input: signed })),
        ]) {
          expect(shown).not.toContain(`=${secret}`);
        }
        expect(fileNameOf(signed)).not.toContain(`=${secret}`);
      }),
    );
    expect(shownPlace("https://user:pw@h/a.mkv#t")).toBe("https://h/a.mkv?[hidden]");
    expect(shownPlace("a?b.mkv")).toBe("a?b.mkv");
    expect(withShownPlaces([1])).toEqual([1]);
  });

  it("give names that are safe as file names", () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), fc.string(), (url, more) => {
        const name = fileNameOf(`${url.replace(/[?#].*/u, "")}/${encodeURIComponent(more)}`);
        expect(name).toMatch(/^[^/\\.][^/\\]*$/u);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(200);
      }),
    );
    expect(fileNameOf("https://h/%2e%2e%2fetc")).toBe("_etc");
    expect(remoteInputPath("j", "https://h/a%20b.mkv?x")).toBe("j/a b.mkv");
  });

  it("have outputs beside them, or in the media root", () => {
    expect(outputsOf({ input: "https://h/dir/film.mkv?sig=x" })).toEqual(["film.srt"]);
    expect(outputsOf({ input: "https://h/?id=5" })).toEqual(["input.srt"]);
    expect(outputsOf({ input: "s3://c/my.bucket/dir/film.mkv", formats: ["vtt"] })).toEqual([
      "s3://c/my.bucket/dir/film.vtt",
    ]);
    const convert = (request: object) => planOutputs(parseRequest("convert", { v: 1, ...request }))[0]?.path;
    expect(convert({ input: "https://h/film.mp4" })).toBe("film.mp4");
    expect(convert({ input: "s3://c/bucket/film.mp4" })).toBe("s3://c/bucket/film.converted.mp4");
  });
});

it("an input is known again by size, ETag and date, as far as they are told", () => {
  const one = { sizeBytes: 5, etag: '"a"', modified: "Mon" };
  expect(differenceOf(one, one)).toBeNull();
  expect(differenceOf(one, { ...one, sizeBytes: 6 })).toContain("5 bytes");
  expect(differenceOf(one, { ...one, etag: '"b"' })).toContain("ETag");
  expect(differenceOf(one, { sizeBytes: 5, modified: "Tue" })).toContain("Tue");
  expect(differenceOf(one, { ...one, modified: "Tue" })).toBeNull();
  expect(differenceOf({ sizeBytes: null }, one)).toBeNull();
});
