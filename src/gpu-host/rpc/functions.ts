import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DataFormat, DefinitionType, FunctionType } from "../enums.ts";
import { invalidArgument, notFound, notServed } from "../failures.ts";
import type { Services } from "../services.ts";
import type { FunctionRecord } from "../store/records.ts";
import { newId } from "../store/state.ts";
import { safeMode } from "../store/uploads.ts";
import type { Handlers, Request } from "../wire.ts";
import { isClientMount, requireMount } from "./mounts.ts";
import { environmentName } from "./session.ts";

/** Modal's own limits: for a function that does not say, and the most there is. */
const DEFAULT_TIMEOUT_SECS = 300;
const MAX_TIMEOUT_SECS = 24 * 60 * 60;

type Names = "functionPrecreate" | "functionCreate" | "functionGet" | "functionGetById";

export function functionRpcs(services: Services): Handlers<Names> {
  const { state, apps } = services;
  return {
    async functionPrecreate(request) {
      apps.running(request.appId);
      if (request.functionType !== FunctionType.FUNCTION) throw notServed("generators");
      if (request.webhookConfig) throw notServed("web endpoints");
      const known = state.functions.get(request.existingFunctionId);
      if (request.existingFunctionId !== "" && known?.appId !== request.appId) {
        throw notFound(`Function ${request.existingFunctionId} of app ${request.appId}`);
      }
      const record = state.functions.put({
        ...known,
        id: known?.id ?? newId("fu"),
        appId: request.appId,
        tag: request.functionName,
        ...formats(request),
      });
      return { functionId: record.id, handleMetadata: handleMetadata(record) };
    },

    async functionCreate({ function: only, appId, existingFunctionId, functionData }) {
      apps.running(appId);
      if (only && functionData) throw invalidArgument("The request has both function and function_data");
      // Of several GPUs that will do the first is told again; a function has this machine.
      const wanted = only ?? functionData?.rankedFunctions[0]?.function;
      if (!wanted) throw invalidArgument("The request has no function");
      refuseWhatIsNotDone(wanted);
      const known = state.functions.get(existingFunctionId);
      if (known?.appId !== appId) throw notFound(`Function ${existingFunctionId} of app ${appId}`);
      if (!state.images.has(wanted.imageId)) throw notFound(`Image ${wanted.imageId}`);
      const definition = {
        id: newId("de"),
        moduleName: wanted.moduleName,
        attribute: wanted.implementationName === "" ? wanted.functionName : wanted.implementationName,
        timeoutSecs: wanted.timeoutSecs === 0 ? DEFAULT_TIMEOUT_SECS : wanted.timeoutSecs,
        imageId: wanted.imageId,
        resources: resources(wanted),
        volumes: mountedVolumes(services, wanted),
      };
      await mountFiles(services, definition.id, wanted.mountIds);
      const record = state.functions.put({
        id: known.id,
        appId,
        tag: wanted.functionName,
        ...formats(wanted),
        definition,
      });
      const about = { handleMetadata: handleMetadata(record), functionData: functionInfo(record) };
      return { functionId: record.id, function: wanted, ...about };
    },

    async functionGet({ appName, objectTag, environmentName: environment }) {
      const app = apps.findDeployed(appName, environmentName(environment));
      const record = state.functions.get(app?.functionIds[objectTag] ?? "");
      if (record === undefined) throw notFound(`Function ${objectTag} of app ${appName}`);
      const about = { handleMetadata: handleMetadata(record), function: functionInfo(record) };
      return { functionId: record.id, ...about };
    },

    async functionGetById({ functionId }) {
      const record = state.functions.get(functionId);
      if (record?.definition === undefined) throw notFound(`Function ${functionId}`);
      return { handleMetadata: handleMetadata(record), function: functionInfo(record) };
    },
  };
}

/** Facts that a client needs before it calls a function. */
export function handleMetadata(record: FunctionRecord) {
  return {
    functionName: record.tag,
    functionType: FunctionType.FUNCTION,
    definitionId: record.definition?.id ?? "",
    supportedInputFormats: [...record.inputFormats],
    supportedOutputFormats: [...record.outputFormats],
    appId: record.appId,
  };
}

/** A function's settings, which the Python SDK reads since 1.6. */
function functionInfo({ tag, inputFormats, outputFormats, definition }: FunctionRecord) {
  if (definition === undefined) throw new Error(`Function ${tag} was not created`);
  const { moduleName, attribute, timeoutSecs, imageId, resources: given, volumes = [] } = definition;
  const common = {
    moduleName,
    functionName: tag,
    functionType: FunctionType.FUNCTION,
    timeoutSecs,
    supportedInputFormats: [...inputFormats],
    supportedOutputFormats: [...outputFormats],
    implementationName: attribute,
  };
  const { milliCpu, memoryMb, gpuType, gpuCount: count } = given;
  const only = {
    ...common,
    definitionType: DefinitionType.FILE,
    imageId,
    resources: { milliCpu, memoryMb, gpuConfig: { gpuType, count } },
    volumeMounts: volumes.map(({ volumeId, path }) => ({ volumeId, mountPath: path })),
  };
  return { ...common, rankedFunctions: [{ rank: 1, function: only }] };
}

/** Resources that the client asked for. They are only told again: a function has this machine. */
function resources({ resources: wanted }: WantedFunction) {
  const { gpuType = "", count = 0 } = wanted?.gpuConfig ?? {};
  return { milliCpu: wanted?.milliCpu ?? 0, memoryMb: wanted?.memoryMb ?? 0, gpuType, gpuCount: count };
}

/** Volumes that are mounted. They have to be there, and are not where a container would have them: see `Runner`. */
function mountedVolumes(
  { volumes }: Services,
  { volumeMounts }: WantedFunction,
): { volumeId: string; path: string }[] {
  return volumeMounts.map(({ volumeId, mountPath: path }) => ({ volumeId: volumes.get(volumeId).id, path }));
}

type WantedFunction = NonNullable<Request<"functionCreate">["function"]>;

function isPartial({ readOnly, subPath = "" }: WantedFunction["volumeMounts"][number]): boolean {
  return readOnly || subPath !== "";
}

/** Settings that would change what a function does, and have no effect here. */
function refuseWhatIsNotDone(wanted: WantedFunction): void {
  if (wanted.definitionType !== DefinitionType.FILE) throw notServed("serialized functions");
  if (wanted.functionType !== FunctionType.FUNCTION) throw notServed("generators");
  if (wanted.timeoutSecs > MAX_TIMEOUT_SECS) throw invalidArgument("timeout_secs is more than a day");
  if (wanted.isClass) throw notServed("classes");
  if (wanted.webhookConfig || wanted.httpConfig) throw notServed("web endpoints");
  if (wanted.secretIds.length > 0) throw notServed("secrets");
  if (wanted.volumeMounts.some(isPartial))
    throw notServed("mounts of a volume that are read only, or of a part of it");
  const otherMounts = wanted.cloudBucketMounts.length + wanted.sharedVolumeMounts.length;
  if (otherMounts > 0) throw notServed("mounted buckets and network file systems");
  if ((wanted.retryPolicy?.retries ?? 0) > 0) throw notServed("retries of its own");
  if (wanted.schedule) throw notServed("schedules");
  if (wanted.batchMaxSize > 0) throw notServed("batched functions");
  if ((wanted.proxyId ?? "") !== "") throw notServed("proxies");
  if (wanted.ptyInfo?.enabled === true) throw notServed("interactive containers");
}

function formats(wanted: { supportedInputFormats: number[]; supportedOutputFormats: number[] }) {
  const known: number[] = Object.values(DataFormat);
  return {
    inputFormats: wanted.supportedInputFormats.filter((format) => known.includes(format)),
    outputFormats: wanted.supportedOutputFormats.filter((format) => known.includes(format)),
  };
}

/** Lays out the mounted files as the container would have them, below a directory of the definition. */
async function mountFiles(
  services: Services,
  definitionId: string,
  mountIds: readonly string[],
): Promise<void> {
  const root = join(services.state.paths.functions, definitionId);
  // Some functions mount nothing of their own: their code is in the image.
  await mkdir(root, { recursive: true });
  for (const mountId of mountIds.filter((id) => !isClientMount(id))) {
    for (const { path, sha256, mode } of requireMount(services.state, mountId).files) {
      if (!path.startsWith("root/")) throw notServed(`files outside /root, such as /${path}`);
      await services.contents.copyTo(sha256, join(root, path));
      await chmod(join(root, path), safeMode(mode));
    }
  }
}
