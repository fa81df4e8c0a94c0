import { basename, extname } from "node:path";
import type { FunctionSpec } from "./functions.ts";
import type { SourceFile } from "./mounts.ts";

/** The two functions of a job and the files that define them. */
export interface Handler {
  readonly transcribe: FunctionSpec;
  readonly convert: FunctionSpec;
  /** Files to mount; none when the image has the module already. */
  readonly sources: readonly SourceFile[];
}

/** The handler as one local Python file, mounted at `/root/<its name>`. */
export function mountedHandler(handlerPath: string): Handler {
  const file = basename(handlerPath);
  return {
    ...handlerInImage(basename(file, extname(file))),
    sources: [{ localPath: handlerPath, remotePath: `/root/${file}` }],
  };
}

/** The handler as a module that the image brings along. */
export function handlerInImage(module: string): Handler {
  return {
    transcribe: {
      tag: "transcribe",
      module,
      implementation: "transcribe",
      parameters: [
        { name: "vol_fp", hasDefault: false },
        { name: "vol_id", hasDefault: false },
        { name: "output_format", hasDefault: true },
        { name: "w_model_args", hasDefault: true },
        { name: "w_transcribe_args", hasDefault: true },
      ],
    },
    convert: {
      tag: "convert",
      module,
      implementation: "convert",
      parameters: [
        { name: "vol_fp", hasDefault: false },
        { name: "vol_id", hasDefault: false },
        { name: "to_mp4_kwargs", hasDefault: true },
      ],
    },
    sources: [],
  };
}
