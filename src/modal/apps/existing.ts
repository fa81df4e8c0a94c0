import { MirumojiError } from "../../job/errors.ts";
import type { FunctionHandle } from "./functions.ts";
import type { RegisteredFunctions } from "./registration.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { DATA_FORMAT } from "../rpc/wire.ts";

/**
 * Looks up functions that somebody else deployed. Nothing is registered and nothing is kept alive.
 *
 * @throws MirumojiError `CONFIG_INVALID` when one of them is not there or cannot be called, `MODAL_*`
 */
export async function findModal(
  session: ModalSession,
  options: {
    readonly appName: string;
    /** Names of the functions in the app. */
    readonly transcribe: string;
    readonly convert: string;
    readonly signal?: AbortSignal;
  },
): Promise<RegisteredFunctions & { readonly appId: string }> {
  const find = async (tag: string) => await findFunction(session, { ...options, tag });
  const transcribe = await find(options.transcribe);
  const convert = await find(options.convert);
  return { appId: transcribe.appId, transcribe: transcribe.handle, convert: convert.handle };
}

async function findFunction(
  session: ModalSession,
  { appName, tag, signal }: { readonly appName: string; readonly tag: string; readonly signal?: AbortSignal },
): Promise<{ appId: string; handle: FunctionHandle }> {
  try {
    const { functionId, handleMetadata } = await unary(
      session,
      "functionGet",
      { appName, objectTag: tag, environmentName: session.environment },
      { signal, codes: { NOT_FOUND: "CONFIG_INVALID" } },
    );
    const formats: readonly number[] = handleMetadata?.supportedInputFormats ?? [];
    if (!formats.includes(DATA_FORMAT.cbor)) {
      throw new MirumojiError(
        "CONFIG_INVALID",
        "it does not take CBOR; deploy it with Modal's SDK 1.2 or newer",
      );
    }
    return {
      appId: handleMetadata?.appId ?? "",
      handle: { tag, functionId, definitionId: handleMetadata?.definitionId ?? "" },
    };
  } catch (cause) {
    if (!(cause instanceof MirumojiError) || cause.code !== "CONFIG_INVALID") throw cause;
    const where = session.environment === "" ? "" : ` of environment ${session.environment}`;
    throw new MirumojiError(
      "CONFIG_INVALID",
      `the function ${JSON.stringify(tag)} of the deployed app ${JSON.stringify(appName)}${where} cannot be ` +
        `used: ${cause.message}; deploy it, or check MIRUMOJI_MODAL_APP_NAME, MIRUMOJI_TRANSCRIBE_FUNCTION ` +
        "and MIRUMOJI_CONVERT_FUNCTION",
      { cause },
    );
  }
}
