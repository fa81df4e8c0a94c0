import { MirumojiError } from "../../job/errors.ts";
import type { FunctionHandle } from "./functions.ts";
import type { RegisteredFunctions } from "./registration.ts";
import { type ResponseOf, unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { DATA_FORMAT } from "../rpc/wire.ts";

/**
 * Looks up functions of an app that others deployed. Registers nothing and keeps nothing alive. Warns of functions
 * that Modal retries by itself.
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
    const {
      functionId,
      handleMetadata,
      function: settings,
    } = await unary(
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
    warnOfRetries(session, `${appName}/${tag}`, settings);
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

/** Warns of a function that the server itself calls again: each of its tries is paid, on top of the worker's own. */
function warnOfRetries(
  session: ModalSession,
  name: string,
  settings: ResponseOf<"functionGet">["function"],
): void {
  const variants = settings?.rankedFunctions ?? [];
  const retries = Math.max(0, ...variants.map((variant) => variant.function?.retryPolicy?.retries ?? 0));
  if (retries === 0) return;
  session.warn(
    `The function ${name} is deployed with retries=${retries}: Modal may run, and bill, each call ${retries + 1} times. ` +
      "Deploy it without retries; the worker calls again where that can help.",
  );
}
