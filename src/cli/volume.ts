import type { Command } from "commander";
import prettyBytes from "pretty-bytes";
import { openSession } from "../compose/modal.ts";
import { MirumojiError } from "../job/errors.ts";
import { openVolume, type VolumeEntry, type VolumeStore } from "../modal/index.ts";
import { clientEnvironment } from "./dev-session.ts";
import { guarded, note, print, printJson } from "./output.ts";
import { untilInterrupted } from "./interrupt.ts";
import { invalid, remotePath } from "./volume-paths.ts";
import { getTree, type MovedFile, putTree } from "./volume-transfer.ts";

interface Flags {
  json?: boolean;
  force?: boolean;
  recursive?: boolean;
}

export function addVolume(program: Command): void {
  const volume = program.command("volume").description("look into volumes by name or ID, move files");
  const json = "one JSON document on stdout";
  volume
    .command("ls")
    .description("list a folder of a volume")
    .argument("<volume>", "name or ID (vo-...)")
    .argument("[path]", "folder or file in the volume", "/")
    .option("-r, --recursive", "and everything below it")
    .option("--json", json)
    .action(
      guarded(
        (_name: string, _path: string, flags: Flags) => flags.json === true,
        async (name: string, path: string, flags: Flags) => {
          const { store, signal } = await open(name);
          const wanted = remotePath(path);
          const recursive = flags.recursive === true;
          const entries = await store.list({ path: wanted === "" ? "/" : wanted, recursive, signal });
          if (flags.json === true) printJson({ volumeId: store.volumeId, version: store.version, entries });
          else if (entries.length === 0) note("nothing there");
          else print(entries.map(row).join("\n"));
        },
      ),
    );
  volume
    .command("put")
    .description("send a file or folder into a volume")
    .argument("<volume>", "name or ID (vo-...)")
    .argument("<local>", "file or folder on this machine")
    .argument("[remote]", "name in the volume; with a slash at the end, the folder it goes into", "/")
    .option("-f, --force", "overwrite files that are there")
    .option("--json", json)
    .action(
      guarded(
        (_name: string, _local: string, _remote: string, flags: Flags) => flags.json === true,
        async (name: string, local: string, remote: string, flags: Flags) => {
          const { store, signal } = await open(name);
          const overwrite = flags.force === true;
          report(store, await putTree(store, local, remote, { overwrite, signal }), flags);
        },
      ),
    );
  volume
    .command("get")
    .description("fetch a file or folder of a volume")
    .argument("<volume>", "name or ID (vo-...)")
    .argument("<remote>", "file or folder in the volume")
    .argument("[local]", "name on this machine, or the folder it goes into", ".")
    .option("-f, --force", "overwrite files that are there")
    .option("--json", json)
    .action(
      guarded(
        (_name: string, _remote: string, _local: string, flags: Flags) => flags.json === true,
        async (name: string, remote: string, local: string, flags: Flags) => {
          const { store, signal } = await open(name);
          const overwrite = flags.force === true;
          report(store, await getTree(store, remote, local, { overwrite, signal }), flags);
        },
      ),
    );
  volume
    .command("rm")
    .description("remove a file or folder of a volume")
    .argument("<volume>", "name or ID (vo-...)")
    .argument("<path>", "file or folder in the volume")
    .option("-r, --recursive", "a folder and everything below it")
    .option("--json", json)
    .action(
      guarded(
        (_name: string, _path: string, flags: Flags) => flags.json === true,
        async (name: string, path: string, flags: Flags) => {
          const { store, signal } = await open(name);
          await remove(store, path, flags.recursive === true, signal);
          if (flags.json === true) printJson({ volumeId: store.volumeId, removed: remotePath(path) });
          else note(`removed ${path}`);
        },
      ),
    );
}

async function open(name: string): Promise<{ store: VolumeStore; signal: AbortSignal }> {
  if (name.trim() === "") throw new MirumojiError("VOLUME_NOT_FOUND", "the volume's name is empty");
  const session = openSession(clientEnvironment().environment);
  const signal = untilInterrupted();
  return { store: await openVolume(session, name, signal), signal };
}

async function remove(
  store: VolumeStore,
  path: string,
  recursive: boolean,
  signal: AbortSignal,
): Promise<void> {
  const wanted = remotePath(path);
  if (wanted === "") throw invalid(path, "is the volume itself, which is not removed here");
  const entries = await store.list({ path: wanted, recursive: false, signal });
  const isFile = entries.some((entry) => entry.path === wanted && entry.kind !== "directory");
  if (!isFile && !recursive)
    throw invalid(path, "is a folder; --recursive removes it with everything below it");
  await store.remove({ path: wanted, recursive, signal });
}

function report(store: VolumeStore, files: readonly MovedFile[], { json }: Flags): void {
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (json === true) printJson({ volumeId: store.volumeId, bytes, files });
  else note(`${files.length === 1 ? "1 file" : `${files.length} files`}, ${prettyBytes(bytes)}`);
}

function row({ path, kind, sizeBytes, modifiedAt }: VolumeEntry): string {
  const size = kind === "file" ? prettyBytes(sizeBytes) : "-";
  const when = modifiedAt.toISOString().slice(0, 16).replace("T", " ");
  return `${size.padStart(9)}  ${when}  ${path}${kind === "directory" ? "/" : ""}`;
}
