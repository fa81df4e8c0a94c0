import { basename, extname } from "node:path";
import { MirumojiError } from "../../job/errors.ts";
import type { FunctionSpec } from "./functions.ts";
import type { Source } from "./sources.ts";

/** The two functions of a job and the files that define them. */
export interface Handler {
  readonly transcribe: FunctionSpec;
  readonly convert: FunctionSpec;
  /** Copies films that fit already, and needs no GPU for that. */
  readonly remux?: FunctionSpec;
  /** Files and packages to mount; none when the image has the functions already. */
  readonly sources: readonly Source[];
}

/** Mirumoji's function signatures; every handler has them. */
const PARAMETERS = {
  transcribe: [
    { name: "vol_fp", hasDefault: false },
    { name: "vol_id", hasDefault: false },
    { name: "output_format", hasDefault: true },
    { name: "w_model_args", hasDefault: true },
    { name: "w_transcribe_args", hasDefault: true },
  ],
  convert: [
    { name: "vol_fp", hasDefault: false },
    { name: "vol_id", hasDefault: false },
    { name: "to_mp4_kwargs", hasDefault: true },
  ],
} as const;

/** The handler as one local Python file or as the folder of a package, mounted at `/root/<its name>`. */
export function mountedHandler(handlerPath: string): Handler {
  const file = basename(handlerPath);
  return {
    ...handlerInImage(basename(file, extname(file))),
    sources: [{ localPath: handlerPath, remotePath: `/root/${file}` }],
  };
}

/** Describes a handler that is a module of the image. */
export function handlerInImage(module: string): Handler {
  return {
    transcribe: specOf("transcribe", module, "transcribe"),
    convert: specOf("convert", module, "convert"),
    sources: [],
  };
}

/**
 * The mounted handler, with functions of the image in place of its own where they are named
 * (`module:function`). Nothing is mounted when both are.
 *
 * @throws MirumojiError `CONFIG_INVALID` when both would have the same name in the app
 */
export function chosenHandler(options: {
  readonly handlerPath: string;
  /** Whether it is the one of this package, which can also copy without a GPU. */
  readonly isOurs?: boolean;
  readonly transcribe?: string | undefined;
  readonly convert?: string | undefined;
}): Handler {
  const mounted = mountedHandler(options.handlerPath);
  const choose = (type: "transcribe" | "convert"): FunctionSpec => {
    const [module, name] = options[type]?.split(":") ?? [];
    return module === undefined || name === undefined ? mounted[type] : specOf(type, module, name);
  };
  const [transcribe, convert] = [choose("transcribe"), choose("convert")];
  if (transcribe.tag === convert.tag) {
    throw new MirumojiError(
      "CONFIG_INVALID",
      `both functions are named ${JSON.stringify(convert.tag)}, but an app has each name once; rename one of ` +
        "MIRUMOJI_TRANSCRIBE_FUNCTION and MIRUMOJI_CONVERT_FUNCTION",
    );
  }
  const nothingOfOurs = options.transcribe !== undefined && options.convert !== undefined;
  const { module } = mounted.convert;
  const canCopy = options.isOurs === true && options.convert === undefined;
  const remux = canCopy ? { remux: specOf("convert", module, "remux") } : {};
  return { transcribe, convert, ...remux, sources: nothingOfOurs ? [] : mounted.sources };
}

/** A function under its own name, as `app.function()` of the Python SDK registers it. */
function specOf(type: "transcribe" | "convert", module: string, name: string): FunctionSpec {
  return { tag: name, module, implementation: name, parameters: PARAMETERS[type] };
}
