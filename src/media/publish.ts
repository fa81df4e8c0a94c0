import { constants } from "node:fs";
import { link, open, rename } from "node:fs/promises";
import { MirumojiError } from "../job/errors.ts";
import { hasErrno } from "./errno.ts";
import { hashFile } from "./hash-file.ts";
import type { HeldTarget } from "./media-root.ts";
import { isSameFile, look } from "./same-file.ts";

/** A complete temporary file that is to get the name of its output. */
export interface Staged {
  readonly path: string;
  readonly target: HeldTarget;
  /** Path of the temporary file. */
  readonly partial: string;
  readonly sha256: string;
}

/** By these, file systems say that a file cannot have two names there: exFAT, SMB, some FUSE. */
const NO_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV", "EINVAL"];

/** Gives the file its name in the place of whatever has it. Throws node's own errors. */
export async function replace({ target, partial }: Staged): Promise<void> {
  await rename(partial, target.folder.entry(target.name));
  await target.folder.sync();
}

/**
 * Gives the file its name if nothing has it; never replaces anything. The temporary name stays, as the proof that the
 * output is the job's own, where a file can have two names.
 *
 * @throws MirumojiError `OUTPUT_WRITE_FAILED` when there is something else; node's own errors
 */
export async function publish(staged: Staged): Promise<void> {
  const { target, partial } = staged;
  const path = target.folder.entry(target.name);
  try {
    await link(partial, path);
  } catch (error) {
    if (hasErrno(error, "EEXIST")) await assertOwn(staged);
    else if (hasErrno(error, ...NO_LINKS)) await publishByReserving(staged);
    else throw error;
  }
  await target.folder.sync();
}

/** Whether the output has its name already, from a try that was cut off afterwards. */
export async function isPublished({ target, partial }: Pick<Staged, "target" | "partial">): Promise<boolean> {
  return isSameFile(await look(partial), await look(target.folder.entry(target.name)));
}

/** Throws `OUTPUT_WRITE_FAILED` when something that is not this output has its name. */
export async function assertOwn({ path, target, partial, sha256 }: Staged): Promise<void> {
  const place = target.folder.entry(target.name);
  const found = await look(place);
  if (found === null || isSameFile(found, await look(partial))) return;
  // The same content is this output, published by a worker that died before it could say so, or by anybody.
  if (found.isFile() && (await hashFile(place)).sha256 === sha256) return;
  throw new MirumojiError(
    "OUTPUT_WRITE_FAILED",
    `output ${JSON.stringify(path)}: a file of this name appeared while the job ran; move it away, the result is kept`,
  );
}

/** Takes the name with an empty file, which only one can do, and replaces that. */
async function publishByReserving(staged: Staged): Promise<void> {
  const { target } = staged;
  const path = target.folder.entry(target.name);
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    await (await open(path, flags, 0o644)).close();
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
    const found = await look(path);
    // A try that was cut off here left it empty.
    if (found?.isFile() !== true || found.size > 0n) return await assertOwn(staged);
  }
  await rename(staged.partial, path);
}
