import { unary } from "../rpc/rpc.ts";
import type { RequestOf } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import {
  DATA_FORMAT,
  DEFINITION_TYPE_FILE,
  FUNCTION_SCHEMA_V1,
  FUNCTION_TYPE_FUNCTION,
  PARAM_TYPE_UNKNOWN,
} from "../rpc/wire.ts";

/** A plain, undecorated top-level Python function (`modal-wire` 2.5 says why undecorated). */
export interface FunctionSpec {
  /** Its name in the app. */
  readonly tag: string;
  /** Dotted Python module that holds it, importable from `/root` in the container. */
  readonly module: string;
  /** Its name in the module; no dots. */
  readonly implementation: string;
  readonly parameters: readonly { readonly name: string; readonly hasDefault: boolean }[];
}

/** Resources of a function. */
export interface FunctionResources {
  /** Modal's names of the GPUs that will do, the best first, upper case, for example `A10G`; none for no GPU. */
  readonly gpus: readonly string[];
  /** Cores that are kept for a container. Modal's least when left out. */
  readonly cpu?: number;
  /** Memory that is kept for a container, in MiB. Modal's least when left out. */
  readonly memoryMib?: number;
  /** How long one call may run, in seconds. */
  readonly timeoutSeconds: number;
  /**
   * How long a container may take to start, image pull included, in seconds.
   *
   * @defaultValue `timeoutSeconds`
   */
  readonly startupTimeoutSeconds?: number;
  /** How long an idle container stays, in seconds. */
  readonly scaledownWindowSeconds: number;
  /** Containers that stay warm. None when left out. */
  readonly minContainers?: number;
  /** Containers at the same time. Modal's limit when left out. */
  readonly maxContainers?: number;
  /** Where containers may run, such as `eu` or `us-east-1`. Anywhere when left out or empty. */
  readonly regions?: readonly string[];
}

/** A named volume that a function has at a path, and may write to. */
export interface VolumeMount {
  readonly volumeId: string;
  readonly path: string;
}

/** A registered function. */
export interface FunctionHandle {
  readonly tag: string;
  readonly functionId: string;
  readonly definitionId: string;
}

/** Declares both formats, as the Python SDK does; we send CBOR only and get CBOR back. */
const DATA_FORMATS = [DATA_FORMAT.pickle, DATA_FORMAT.cbor];

/**
 * Reserves a function's ID in the app, or reuses the one it has there. `FunctionCreate` in file mode is only
 * accepted for a reserved ID.
 */
export async function precreateFunction(
  session: ModalSession,
  {
    appId,
    spec,
    existingFunctionId = "",
    signal,
  }: {
    readonly appId: string;
    readonly spec: FunctionSpec;
    readonly existingFunctionId?: string | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<{ functionId: string }> {
  const { functionId } = await unary(
    session,
    "functionPrecreate",
    {
      appId,
      functionName: spec.tag,
      functionType: FUNCTION_TYPE_FUNCTION,
      existingFunctionId,
      functionSchema: schemaOf(spec),
      supportedInputFormats: DATA_FORMATS,
      supportedOutputFormats: DATA_FORMATS,
    },
    { signal },
  );
  return { functionId };
}

/**
 * Defines a reserved function, with the fields that the Python SDK sends. `retry_policy` stays unset, because
 * otherwise the server would run a failed call again on its own, and `routing_region` empty, because otherwise calls go
 * to the input plane, whose calls have no ID to re-attach to (`modal-wire` 2.3).
 */
export async function createFunction(
  session: ModalSession,
  {
    appId,
    appName,
    functionId,
    imageId,
    mountIds,
    volumes = [],
    spec,
    resources,
    signal,
  }: {
    readonly appId: string;
    readonly appName: string;
    readonly functionId: string;
    readonly imageId: string;
    readonly mountIds: readonly string[];
    readonly volumes?: readonly VolumeMount[];
    readonly spec: FunctionSpec;
    readonly resources: FunctionResources;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<FunctionHandle> {
  const shared: Definition = {
    moduleName: spec.module,
    functionName: spec.tag,
    implementationName: spec.implementation,
    functionType: FUNCTION_TYPE_FUNCTION,
    functionSchema: schemaOf(spec),
    classParameterInfo: {},
    methodDefinitionsSet: true,
    timeoutSecs: resources.timeoutSeconds,
    startupTimeoutSecs: resources.startupTimeoutSeconds ?? resources.timeoutSeconds,
    ...scaling(resources),
    supportedInputFormats: DATA_FORMATS,
    supportedOutputFormats: DATA_FORMATS,
  };
  const on = (gpu: string | undefined): Definition => ({
    ...shared,
    definitionType: DEFINITION_TYPE_FILE,
    appName,
    imageId,
    mountIds: [...mountIds],
    ...(volumes.length === 0
      ? {}
      : {
          volumeMounts: volumes.map(({ volumeId, path }) => ({
            volumeId,
            mountPath: path,
            allowBackgroundCommits: true,
          })),
        }),
    objectDependencies: [{ objectId: imageId }, ...volumes.map(({ volumeId }) => ({ objectId: volumeId }))],
    mountClientDependencies: true,
    resources: wanted(resources, gpu),
    ...placement(resources),
    ExperimentalConcurrentCancellations: true,
  });
  const [gpu, ...others] = resources.gpus;
  // Several GPUs are as many definitions by rank; exactly one of the two forms may be sent (`modal-wire` 2.3).
  const definition =
    others.length === 0
      ? { function: on(gpu) }
      : {
          functionData: {
            ...shared,
            webUrlInfo: {},
            webhookConfig: {},
            rankedFunctions: resources.gpus.map((name, rank) => ({ rank, function: on(name) })),
          },
        };
  const answer = await unary(
    session,
    "functionCreate",
    { appId, existingFunctionId: functionId, ...definition },
    { signal },
  );
  return {
    tag: spec.tag,
    functionId: answer.functionId,
    definitionId: answer.handleMetadata?.definitionId ?? "",
  };
}

type Definition = NonNullable<RequestOf<"functionCreate">["function"]>;

/** Always present, even when empty (`modal-wire` 2.3). */
function wanted(
  { cpu = 0, memoryMib = 0 }: FunctionResources,
  gpu: string | undefined,
): Definition["resources"] {
  return {
    gpuConfig: gpu === undefined ? {} : { count: 1, gpuType: gpu },
    milliCpu: Math.floor(cpu * 1000),
    memoryMb: memoryMib,
  };
}

/** Every autoscaler setting is sent twice, as the SDK does: in the new message and in the old field. */
function scaling({
  scaledownWindowSeconds,
  minContainers,
  maxContainers,
}: FunctionResources): Pick<
  Definition,
  "taskIdleTimeoutSecs" | "warmPoolSize" | "concurrencyLimit" | "autoscalerSettings"
> {
  return {
    taskIdleTimeoutSecs: scaledownWindowSeconds,
    ...(minContainers === undefined ? {} : { warmPoolSize: minContainers }),
    ...(maxContainers === undefined ? {} : { concurrencyLimit: maxContainers }),
    autoscalerSettings: {
      scaledownWindow: scaledownWindowSeconds,
      ...(minContainers === undefined ? {} : { minContainers }),
      ...(maxContainers === undefined ? {} : { maxContainers }),
    },
  };
}

function placement({ regions = [] }: FunctionResources): Pick<Definition, "schedulerPlacement"> {
  return regions.length === 0 ? {} : { schedulerPlacement: { regions: [...regions] } };
}

function schemaOf({
  parameters,
}: FunctionSpec): NonNullable<RequestOf<"functionPrecreate">["functionSchema"]> {
  return {
    schemaType: FUNCTION_SCHEMA_V1,
    arguments: parameters.map(({ name, hasDefault }) => ({
      name,
      hasDefault,
      fullType: { baseType: PARAM_TYPE_UNKNOWN },
    })),
    returnType: { baseType: PARAM_TYPE_UNKNOWN },
  };
}
