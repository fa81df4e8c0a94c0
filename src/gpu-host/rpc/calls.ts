import { DataFormat, FunctionCallType, ResultStatus } from "../enums.ts";
import { failedPrecondition, invalidArgument, notFound, notServed } from "../failures.ts";
import { callTarget } from "../run/arguments.ts";
import { isUnfinished } from "../run/calls.ts";
import type { Services } from "../services.ts";
import type { CallInput, CallRecord, CallResult, FunctionRecord } from "../store/records.ts";
import type { Handlers, Request } from "../wire.ts";

type Names =
  | "functionMap"
  | "functionPutInputs"
  | "functionGetOutputs"
  | "functionCallFromId"
  | "functionCallCancel"
  | "functionCallGetInfo";

export function callRpcs(services: Services): Handlers<Names> {
  const { calls, runner, signer, blobs, faults } = services;

  /** Everything about an input that can be wrong, before anything is made of it. */
  async function prepare(target: FunctionRecord, item: InputItem) {
    const input = readInput(item, target);
    return { input, target: await callTarget(input, blobs) };
  }

  function give(callId: string, { input, target }: Awaited<ReturnType<typeof prepare>>) {
    const { call, isNew } = calls.put(callId, input, target);
    if (isNew) runner.submit(call);
    const inputId = call.input?.id ?? "";
    return { idx: input.idx, inputId, inputJwt: signer.sign({ inputId }, JWT_TTL_MS) };
  }

  return {
    async functionMap({ functionId, functionCallType, pipelinedInputs }) {
      const target = callable(services, functionId);
      if (functionCallType !== FunctionCallType.UNARY) throw notServed("calls with many inputs");
      if (pipelinedInputs.length > 1) throw invalidArgument("A unary call has one input");
      const [item] = pipelinedInputs;
      if (item === undefined && faults.refusesEmptyMap()) throw invalidArgument("The call has no input");
      const prepared = item && (await prepare(target, item));
      const call = calls.open(target);
      return {
        functionCallId: call.id,
        pipelinedInputs: prepared === undefined ? [] : [give(call.id, prepared)],
        retryPolicy: {},
        functionCallJwt: signer.sign({ callId: call.id }, JWT_TTL_MS),
        maxInputsOutstanding: 1,
      };
    },

    async functionPutInputs({ functionCallId, inputs }) {
      const [item, ...more] = inputs;
      if (item === undefined || more.length > 0) throw invalidArgument("A unary call has one input");
      const { id, functionId } = calls.get(functionCallId);
      return { inputs: [give(id, await prepare(callable(services, functionId), item))] };
    },

    async functionGetOutputs(request, { signal }) {
      const { functionCallId: id, timeout, lastEntryId, clearOnSuccess } = request;
      if (lastEntryId === "") throw invalidArgument("No last_entry_id provided.");
      await calls.ended(id, timeout * 1000, signal);
      const call = calls.get(id);
      const entryId = `${call.endedAt ?? 0}-0`;
      const { input, result } = call;
      const wanted = input !== undefined && isWanted(request, input.idx) && lastEntryId !== entryId;
      if (result === undefined || !wanted) {
        return { lastEntryId, numUnfinishedInputs: isUnfinished(call) ? 1 : 0 };
      }
      if (clearOnSuccess && result.status === ResultStatus.SUCCESS) calls.clear(id);
      return { outputs: [output(call, input, result)], lastEntryId: entryId, numUnfinishedInputs: 0 };
    },

    async functionCallFromId({ functionCallId }) {
      const { id, appId, functionId, input } = calls.get(functionCallId);
      return { functionCallId: id, numInputs: input === undefined ? 0 : 1, metadata: { appId, functionId } };
    },

    async functionCallCancel({ functionCallId, terminateContainers }) {
      const call = calls.get(functionCallId);
      const hasEnded = call.endedAt !== undefined;
      if (!hasEnded) runner.cancel(call, { atOnce: terminateContainers });
      return {};
    },

    async functionCallGetInfo({ functionId, functionCallId }) {
      const call = calls.get(functionCallId);
      if (call.functionId !== functionId) throw notFound(`Function call ${functionCallId} of ${functionId}`);
      return { info: callInfo(call) };
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

function readInput({ idx, input }: InputItem, target: FunctionRecord): Omit<CallInput, "id"> {
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

function output(call: CallRecord, input: CallInput, result: CallResult) {
  const { status, exception = "", traceback = "", exitCode = 0, data, dataBlobId } = result;
  const payload = dataBlobId === undefined ? { data: Buffer.from(data ?? "", "base64") } : { dataBlobId };
  return {
    result: { status, exception, traceback, exitcode: exitCode, ...payload },
    idx: input.idx,
    inputId: input.id,
    dataFormat: result.dataFormat,
    inputStartedAt: (call.startedAt ?? 0) / 1000,
    outputCreatedAt: (call.endedAt ?? 0) / 1000,
  };
}

function callInfo(call: CallRecord) {
  const timedOut = call.result?.status === ResultStatus.TIMEOUT;
  const total = (applies: boolean) => ({ total: applies ? 1 : 0 });
  return {
    functionCallId: call.id,
    createdAt: call.createdAt / 1000,
    scheduledAt: (call.startedAt ?? 0) / 1000,
    pendingInputs: total(isUnfinished(call)),
    succeededInputs: total(call.state === "succeeded"),
    failedInputs: total(call.state === "failed" && !timedOut),
    timeoutInputs: total(timedOut),
    cancelledInputs: total(call.state === "cancelled" && call.input !== undefined),
    totalInputs: call.input === undefined ? 0 : 1,
  };
}
