import { stat } from "node:fs/promises";
import { MirumojiError } from "../job/errors.ts";
import { isElsewhere } from "../job/places.ts";
import type { PlannedOutput } from "../job/paths.ts";
import { isMissing } from "./errno.ts";
import type { HeldTarget, MediaRoot } from "./media-root.ts";
import { isSameFile } from "./same-file.ts";

/** Throws `REQUEST_INVALID` when the output's place leads to the input. */
export async function assertNotInput(
  root: MediaRoot,
  { folder, name }: HeldTarget,
  output: PlannedOutput,
  input: string,
): Promise<void> {
  if (isElsewhere(input)) return;
  const found = await stat(folder.entry(name), { bigint: true }).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (found === null) return;
  const handle = await root.openExisting(input, "input").catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (handle === null) return;
  try {
    if (!isSameFile(found, await handle.stat({ bigint: true }))) return;
  } finally {
    await handle.close();
  }
  throw new MirumojiError(
    "REQUEST_INVALID",
    `output ${JSON.stringify(output.path)} leads to the input; choose another path`,
  );
}
