import { rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseRange } from "../../src/http/send-output.ts";
import { testFolder } from "../../support/folder.ts";
import { completed, startTestServer } from "../helpers/http/server.ts";

const sha256 = "0".repeat(64);

describe("the outputs of a job", () => {
  it("are served as what they are, whole and in parts, and nothing else is", async () => {
    await using server = await startTestServer();
    await server.put("talk/hello there.srt", "1\n00:00:01");
    await server.put("secret.txt", "not an output");
    const { id } = await server.jobs.submit("transcribe", { input: "talk/hello there.mkv" });
    await server.finish(
      "transcribe",
      completed([{ path: "talk/hello there.srt", format: "srt", bytes: 10, sha256 }]),
    );
    const page = await (await server.request(`/jobs/${id}`)).text();
    expect(page).toContain(`href="/jobs/${id}/outputs/0"`);
    const whole = await server.request(`/jobs/${id}/outputs/0`);
    expect(whole.status).toBe(200);
    expect(whole.headers.get("content-type")).toBe("application/x-subrip; charset=utf-8");
    expect(whole.headers.get("x-content-type-options")).toBe("nosniff");
    expect(await whole.text()).toBe("1\n00:00:01");
    const part = await server.request(`/jobs/${id}/outputs/0`, { headers: { range: "bytes=2-4" } });
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([
      206,
      "bytes 2-4/10",
      "00:",
    ]);
    const tag = part.headers.get("etag") ?? "";
    const ask = async (headers: Record<string, string>) =>
      (await server.request(`/jobs/${id}/outputs/0`, { headers })).status;
    expect(tag).toBe(whole.headers.get("etag"));
    expect(await ask({ "if-none-match": `"other", W/${tag}` })).toBe(304);
    expect(await ask({ range: "bytes=2-4", "if-range": tag })).toBe(206);
    expect(await ask({ range: "bytes=2-4", "if-range": '"other"' })).toBe(200);
    const beyond = await server.request(`/jobs/${id}/outputs/0`, { headers: { range: "bytes=10-" } });
    expect(beyond.status).toBe(416);
    for (const index of ["1", "-1", "x", "..%2f..%2fsecret.txt", "length"]) {
      expect((await server.request(`/jobs/${id}/outputs/${index}`)).status, index).toBe(404);
    }
    expect((await server.request("/media/secret.txt")).status).toBe(404);
    await rm(join(server.mediaRoot, "talk/hello there.srt"));
    expect((await server.request(`/jobs/${id}/outputs/0`)).status).toBe(404);
  });

  it("never lead out of the media root", async () => {
    await using server = await startTestServer();
    await using elsewhere = await testFolder();
    await symlink(elsewhere.path, join(server.mediaRoot, "out"));
    for (const path of ["out/x.txt", "../x.txt", "/etc/passwd"]) {
      const { id } = await server.jobs.submit("convert", { input: "a.mkv" });
      await server.finish("convert", completed([{ path, format: "txt", bytes: 1, sha256 }]));
      const answer = await server.request(`/jobs/${id}/outputs/0`);
      expect(answer.status, path).toBe(404);
      expect(await answer.text()).not.toContain("root:");
    }
  });

  it("understand the ranges that players send", () => {
    expect(parseRange(undefined, 10)).toBeNull();
    expect(parseRange("bytes=-", 10)).toBeNull();
    expect(parseRange("bytes=0-", 10)).toEqual({ start: 0, end: 9 });
    expect(parseRange("bytes=3-100", 10)).toEqual({ start: 3, end: 9 });
    expect(parseRange("bytes=-4", 10)).toEqual({ start: 6, end: 9 });
    expect(parseRange("bytes=-100", 10)).toEqual({ start: 0, end: 9 });
    expect(parseRange("bytes=5-2", 10), "no range, after RFC 9110").toBeNull();
    expect(parseRange("bytes=10-", 10)).toBe("unsatisfiable");
    expect(parseRange("bytes=0-", 0)).toBe("unsatisfiable");
    expect(parseRange("bytes=0-1,4-5", 10)).toBeNull();
  });
});
