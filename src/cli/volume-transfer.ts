import { lstat, readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { toMirumojiError, MirumojiError } from "../job/errors.ts";
import { isMissing } from "../media/errno.ts";
import { openMediaRoot } from "../media/media-root.ts";
import { inLanes, type VolumeEntry, type VolumeStore } from "../modal/index.ts";
import { localTarget, writeWhole } from "./local-file.ts";
import { createTransferView, type TransferView } from "./transfer-view.ts";
import { invalid, lastPart, pathBelow, putTarget, remotePath } from "./volume-paths.ts";

/** One file to transfer, with its name on both sides. */
export interface MovedFile {
  readonly localPath: string;
  readonly remotePath: string;
  readonly sizeBytes: number;
}

interface Options {
  readonly overwrite: boolean;
  readonly signal: AbortSignal;
}

/** Small files are sent several at a time; larger ones already send many blocks at a time. */
const SMALL_BYTES = 8 * 1024 * 1024;
const SMALL_LANES = 8;

/** Sends a file, or a folder with everything below it. */
export async function putTree(
  store: VolumeStore,
  local: string,
  target: string,
  { overwrite, signal }: Options,
): Promise<MovedFile[]> {
  const to = putTarget(basename(resolve(local)), target);
  const files = await localFiles(local, to);
  if (!overwrite) await refuseExisting(store, to, files, signal);
  await moveAll(files, signal, async ({ localPath, remotePath: path }, view, stop) => {
    await store.put({
      localPath,
      remotePath: path,
      overwrite,
      signal: stop,
      onProgress: ({ doneBytes }) => view.update(path, doneBytes),
    });
  });
  return files;
}

/** Fetches a file, or a folder with everything below it. Nothing is written outside the local target. */
export async function getTree(
  store: VolumeStore,
  remote: string,
  local: string,
  { overwrite, signal }: Options,
): Promise<MovedFile[]> {
  const from = remotePath(remote);
  const entries = await store.list({ path: from === "" ? "/" : from, recursive: true, signal });
  const single = entries.find(({ path, kind }) => path === from && kind === "file");
  const isFolder = await stat(local).then(
    (found) => found.isDirectory(),
    () => local.endsWith("/"),
  );
  const name = lastPart(from);
  const target = isFolder && name !== "" ? join(local, name) : local;
  const folder = resolve(single === undefined ? target : dirname(target));
  const files = await plannedFiles(folder, overwrite, single, basename(target), from, entries);
  await moveAll(files, signal, async ({ localPath, remotePath: path }, view, stop) => {
    await writeWhole(localPath, async (into) => {
      await store.get({
        remotePath: path,
        into,
        signal: stop,
        onProgress: ({ doneBytes }) => view.update(path, doneBytes),
      });
    });
  });
  return files;
}

async function plannedFiles(
  folder: string,
  overwrite: boolean,
  single: VolumeEntry | undefined,
  singleName: string,
  from: string,
  entries: readonly VolumeEntry[],
): Promise<MovedFile[]> {
  // A folder that was just created contains no symlinks.
  const root = await openMediaRoot(folder).catch(() => null);
  const wanted =
    single === undefined
      ? entries
          .filter(({ kind }) => kind === "file")
          .map((entry) => ({ entry, name: pathBelow(from, entry.path) }))
      : [{ entry: single, name: singleName }];
  const files: MovedFile[] = [];
  for (const { entry, name } of wanted) {
    const localPath = root === null ? join(folder, name) : await localTarget(root, name, overwrite);
    files.push({ localPath, remotePath: entry.path, sizeBytes: entry.sizeBytes });
  }
  return files;
}

async function localFiles(local: string, target: string): Promise<MovedFile[]> {
  const found = await stat(local).catch((cause: unknown) => {
    const code = isMissing(cause) ? "INPUT_NOT_FOUND" : "INPUT_UNREADABLE";
    throw new MirumojiError(code, `${local}: ${toMirumojiError(cause).message}`, { cause });
  });
  if (found.isFile()) return [{ localPath: resolve(local), remotePath: target, sizeBytes: found.size }];
  if (!found.isDirectory())
    throw new MirumojiError("INPUT_NOT_A_FILE", `${local} is neither file nor folder`);
  const files: MovedFile[] = [];
  for (const name of (await readdir(local, { recursive: true })).toSorted()) {
    const localPath = join(resolve(local), name);
    // Symlinks inside a folder are not followed: they may lead outside or form loops.
    const status = await lstat(localPath);
    if (status.isFile()) files.push({ localPath, remotePath: `${target}/${name}`, sizeBytes: status.size });
  }
  if (files.length === 0) throw new MirumojiError("INPUT_EMPTY", `${local} holds no regular file`);
  return files;
}

/** Checks before anything is sent; the server also refuses, file by file. */
async function refuseExisting(
  store: VolumeStore,
  target: string,
  files: readonly MovedFile[],
  signal: AbortSignal,
): Promise<void> {
  const entries = await store.list({ path: target, recursive: true, signal }).catch((error: unknown) => {
    if (toMirumojiError(error).code === "VOLUME_PATH_NOT_FOUND") return [];
    throw error;
  });
  const there = new Set(entries.map(({ path }) => path));
  const taken = files.find(({ remotePath: path }) => there.has(path));
  if (taken !== undefined) {
    throw new MirumojiError(
      "FILE_EXISTS",
      `${taken.remotePath} is in volume ${store.volumeId} already; --force overwrites it`,
    );
  }
  const only = files.length === 1 ? files[0] : undefined;
  if (only?.remotePath === target && entries.length > 0) throw invalid(target, "is a folder in the volume");
}

async function moveAll(
  files: readonly MovedFile[],
  signal: AbortSignal,
  move: (file: MovedFile, view: TransferView, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const view = createTransferView(files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
  const small = files.filter(({ sizeBytes }) => sizeBytes <= SMALL_BYTES);
  const large = files.filter(({ sizeBytes }) => sizeBytes > SMALL_BYTES);
  try {
    for (const [group, lanes] of [
      [small, SMALL_LANES],
      [large, 1],
    ] as const) {
      await inLanes(group, lanes, signal, async (file, { signal: stop }) => {
        await move(file, view, stop);
        view.finished(file.remotePath);
      });
    }
  } finally {
    view.stop();
  }
}
