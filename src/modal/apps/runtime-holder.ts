import type { JobType } from "../../job/contract.ts";
import { MirumojiError } from "../../job/errors.ts";
import type { FunctionDirectory } from "../../ports/functions.ts";
import { orAborted } from "../rpc/abort.ts";

/** A registered app that can be closed. */
export interface ClosableRuntime {
  readonly appId: string;
  readonly transcribe: { readonly functionId: string };
  readonly convert: { readonly functionId: string };
  readonly remux?: { readonly functionId: string } | undefined;
  close(): Promise<void>;
}

/** The process's one registration: made on first use, shared by all jobs, repeated after a failure. */
export interface RuntimeHolder {
  /** Waits for the registration until the signal aborts; the registration itself goes on. */
  get(signal?: AbortSignal): Promise<FunctionDirectory>;
  /**
   * Reports that the app or function with this ID is gone: the next `get` registers again, unless that has
   * happened already.
   */
  forget(id: string): void;
  /** Closes the runtime, or gives up a registration under way: an image build may take minutes. */
  close(): Promise<void>;
}

export function createRuntimeHolder(
  register: (signal: AbortSignal) => Promise<ClosableRuntime>,
  imageFunctions: FunctionDirectory["imageFunctions"] = {},
  { isForeign = false }: { readonly isForeign?: boolean } = {},
): RuntimeHolder {
  const closing = new AbortController();
  let current: Promise<ClosableRuntime> | null = null;
  /** App ID of the latest runtime. */
  let ids: ReadonlySet<string> = new Set();
  const obtain = async (): Promise<ClosableRuntime> => {
    current ??= register(closing.signal);
    const mine = current;
    try {
      const runtime = await mine;
      if (current === mine) {
        const { appId, transcribe, convert, remux } = runtime;
        const functions = [transcribe, convert, ...(remux === undefined ? [] : [remux])];
        ids = new Set([appId, ...functions.map(({ functionId }) => functionId)]);
      }
      return runtime;
    } catch (error) {
      if (current === mine) current = null;
      throw error;
    }
  };
  return {
    async get(signal) {
      const runtime = await orAborted(obtain(), signal);
      return {
        appId: runtime.appId,
        functionId: (type: JobType) => runtime[type].functionId,
        remuxId: runtime.remux?.functionId ?? null,
        // Functions that somebody else deployed may be older than parts are.
        takesParts: !isForeign && imageFunctions.transcribe === undefined,
        imageFunctions,
      };
    },
    forget(id) {
      if (ids.has(id)) current = null;
    },
    async close() {
      closing.abort(new MirumojiError("INTERRUPTED", "the worker is stopping"));
      const runtime = await current?.catch(() => null);
      await runtime?.close();
    },
  };
}
