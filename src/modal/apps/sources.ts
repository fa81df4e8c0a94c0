import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { MirumojiError } from "../../job/errors.ts";

/** A local Python file or the folder of a package, and the absolute path that it has in the container. */
export interface Source {
  readonly localPath: string;
  /** Under `/root`, which is on the container's module path (`modal-wire` 2.2). */
  readonly remotePath: string;
}

/** A source file and its content. */
export interface LoadedSource {
  readonly remotePath: string;
  readonly sha256Hex: string;
  readonly data: Uint8Array;
}

/**
 * Reads the files; of a package all its Python files, as Modal's own client mounts one.
 *
 * @throws MirumojiError `CONFIG_INVALID` when a file cannot be read
 */
export async function loadSources(sources: readonly Source[]): Promise<LoadedSource[]> {
  const files = (await Promise.all(sources.map(filesOf))).flat();
  return await Promise.all(
    files.map(async ({ localPath, remotePath }) => {
      const data = await readable(localPath, async () => await readFile(localPath));
      return { remotePath, data, sha256Hex: createHash("sha256").update(data).digest("hex") };
    }),
  );
}

async function filesOf({ localPath, remotePath }: Source): Promise<Source[]> {
  const names = await readable(localPath, async () =>
    (await stat(localPath)).isDirectory() ? await readdir(localPath, { recursive: true }) : null,
  );
  if (names === null) return [{ localPath, remotePath }];
  return names
    .filter((name) => name.endsWith(".py"))
    .toSorted()
    .map((name) => ({
      localPath: join(localPath, name),
      remotePath: `${remotePath}/${name.replaceAll(sep, "/")}`,
    }));
}

async function readable<T>(localPath: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw new MirumojiError("CONFIG_INVALID", `the handler file ${localPath} cannot be read`, { cause });
  }
}
