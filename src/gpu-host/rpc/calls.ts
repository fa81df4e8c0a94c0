import { DataFormat, FunctionCallType, ResultStatus } from "../enums.ts";
import { failedPrecondition, invalidArgument, notFound, notServed } from "../failures.ts";
import { callTarget } from "../run/arguments.ts";
import { isUnfinished } from "../run/calls.ts";
import type { Services } from "../services.ts";
import type { FunctionRecord, GivenInput, InputRecord } from "../store/records.ts";
import type { Handlers, Request } from "../wire.ts";

type Names =
  | "functionMap"
  | "functionPutInputs"
  | "functionFinishInputs"
  | "functionGetOutputs"
  | "functionCallFromId"
  | "functionCallCancel"
  | "functionCallGetInfo";

const CALL_TYPES: readonly number[] = Object.values(FunctionCallType);

/** Inputs of a map that a client sends ahead of their outputs; Modal's own number. */
const MAX_INPUTS_OUTSTANDING = 1000;

export function callRpcs(services: Services): Handlers<Names> {
  const { calls, runner, signer, blobs, faults } = services;

  /** Checks the inputs, before anything is made of them. */
  async function prepare(target: FunctionRecord, items: readonly InputItem[]) {
    const prepared = items.map((item) => readInput(item, target));
    return await Promise.all(
      prepared.map(async (input) => ({ input, target: await callTarget(input, blobs) })),
    );
  }

  function give(callId: string, prepared: Awaited<ReturnType<typeof prepare>>) {
    return prepared.map(({ input: given, target }) => {
      const { input, isNew } = calls.put(callId, given, target);
      if (isNew) runner.submit(input);
      return { idx: given.idx, inputId: input.id, inputJwt: signer.sign({ inputId: input.id }, JWT_TTL_MS) };
    });
  }

  return {
    async functionMap({ functionId, functionCallType, pipelinedInputs }) {
      const target = callable(services, functionId);
      if (!CALL_TYPES.includes(functionCallType)) throw notServed(`calls of type ${functionCallType}`);
      const isMap = functionCallType === FunctionCallType.MAP;
      if (!isMap) refuseMany(pipelinedInputs);
      if (pipelinedInputs.length === 0 && faults.refusesEmptyMap()) {
        throw invalidArgument("The call has no input");
      }
      const prepared = await prepare(target, pipelinedInputs);
      const call = calls.open(target, { isMap });
      return {
        functionCallId: call.id,
        pipelinedInputs: give(call.id, prepared),
        retryPolicy: {},
        functionCallJwt: signer.sign({ callId: call.id }, JWT_TTL_MS),
        maxInputsOutstanding: isMap ? MAX_INPUTS_OUTSTANDING : 1,
      };
    },

    async functionPutInputs({ functionCallId, inputs }) {
      const { id, functionId, isMap } = calls.get(functionCallId);
      if (inputs.length === 0) throw invalidArgument("The request has no input");
      if (!isMap) refuseMany(inputs);
      return { inputs: give(id, await prepare(callable(services, functionId), inputs)) };
    },

    async functionFinishInputs({ functionCallId, numInputs }) {
      const has = calls.inputsOf(calls.get(functionCallId).id).length;
      if (has !== numInputs) throw failedPrecondition(`The call has ${has} inputs, not ${numInputs}`);
      return {};
    },

    async functionGetOutputs(request, { signal }) {
      const { functionCallId: id, timeout, lastEntryId, clearOnSuccess, maxValues } = request;
      if (lastEntryId === "") throw invalidArgument("No last_entry_id provided.");
      const deadline = performance.now() + timeout * 1000;
      for (;;) {
        const { isMap, cancelledAt } = calls.get(id);
        const outputs = calls
          .outputsAfter(id, lastEntryId)
          .filter(({ idx }) => isWanted(request, idx))
          .slice(0, maxValues > 0 ? maxValues : undefined);
        const unfinished = calls.inputsOf(id).filter(isUnfinished).length;
        // The client of a map may still be sending inputs.
        const mayBeMore = unfinished > 0 || (isMap && cancelledAt === undefined);
        const leftMs = deadline - performance.now();
        if (outputs.length === 0 && mayBeMore && leftMs > 0 && !signal.aborted) {
          await calls.changed(id, leftMs, signal);
          continue;
        }
        const answer = {
          outputs: outputs.map(output),
          lastEntryId: outputs.at(-1)?.entryId ?? lastEntryId,
          numUnfinishedInputs: unfinished,
        };
        for (const { id: inputId, result } of clearOnSuccess ? outputs : []) {
          if (result?.status === ResultStatus.SUCCESS) calls.clear(inputId);
        }
        return answer;
      }
    },

    async functionCallFromId({ functionCallId }) {
      const { id, appId, functionId } = calls.get(functionCallId);
      return { functionCallId: id, numInputs: calls.inputsOf(id).length, metadata: { appId, functionId } };
    },

    async functionCallCancel({ functionCallId, terminateContainers }) {
      runner.cancel(calls.get(functionCallId).id, { atOnce: terminateContainers });
      return {};
    },

    async functionCallGetInfo({ functionId, functionCallId }) {
      const call = calls.get(functionCallId);
      if (call.functionId !== functionId) throw notFound(`Function call ${functionCallId} of ${functionId}`);
      const inputs = calls.inputsOf(call.id);
      const total = (applies: (input: InputRecord) => boolean) => ({ total: inputs.filter(applies).length });
      const timedOut = ({ result }: InputRecord) => result?.status === ResultStatus.TIMEOUT;
      const startedAt = Math.min(...inputs.map((input) => input.startedAt ?? Infinity));
      return {
        info: {
          functionCallId: call.id,
          createdAt: call.createdAt / 1000,
          scheduledAt: Number.isFinite(startedAt) ? startedAt / 1000 : 0,
          pendingInputs: total(isUnfinished),
          succeededInputs: total(({ state }) => state === "succeeded"),
          failedInputs: total((input) => input.state === "failed" && !timedOut(input)),
          timeoutInputs: total(timedOut),
          cancelledInputs: total(({ state }) => state === "cancelled"),
          totalInputs: inputs.length,
        },
      };
    },
  };
}

type InputItem = Request<"functionPutInputs">["inputs"][number];

/** Input and call tokens are only ever handed back for things that this host does not serve. */
const JWT_TTL_MS = 24 * 60 * 60 * 1000;

/** A function that can be called now. */
function callable({ state, apps }: Services, functionId: string): FunctionRecord {
  const record = state.functions.get(functionId);
  if (record === undefined) throw notFound(`Function ${functionId}`);
  apps.running(record.appId);
  if (record.definition === undefined) throw failedPrecondition(`Function ${functionId} was not created`);
  return record;
}

function refuseMany(inputs: readonly unknown[]): void {
  if (inputs.length > 1) throw invalidArgument("A unary call has one input");
}

function readInput({ idx, input }: InputItem, target: FunctionRecord): GivenInput {
  if (!input) throw invalidArgument("The item has no input");
  if ((input.methodName ?? "") !== "") throw notServed("methods of classes");
  // Older clients leave the format out and mean pickle.
  const dataFormat = input.dataFormat === 0 ? DataFormat.PICKLE : input.dataFormat;
  if (!target.inputFormats.includes(dataFormat)) {
    throw invalidArgument(`Function ${target.tag} does not take data format ${dataFormat}`);
  }
  if (input.argsBlobId !== undefined) return { idx, dataFormat, argsBlobId: input.argsBlobId };
  return { idx, dataFormat, args: Buffer.from(input.args ?? []).toString("base64") };
}

function isWanted({ startIdx, endIdx }: Request<"functionGetOutputs">, idx: number): boolean {
  return idx >= (startIdx ?? 0) && idx <= (endIdx ?? Infinity);
}

function output({ id, idx, startedAt = 0, endedAt = 0, result }: InputRecord) {
  if (result === undefined) throw new Error(`Input ${id} has no output`);
  const { status, exception = "", traceback = "", exitCode = 0, data, dataBlobId, dataFormat } = result;
  const payload = dataBlobId === undefined ? { data: Buffer.from(data ?? "", "base64") } : { dataBlobId };
  return {
    result: { status, exception, traceback, exitcode: exitCode, ...payload },
    idx,
    inputId: id,
    dataFormat,
    inputStartedAt: startedAt / 1000,
    outputCreatedAt: endedAt / 1000,
  };
}
