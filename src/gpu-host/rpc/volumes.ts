import { CreationType } from "../enums.ts";
import { alreadyExists, invalidArgument, notFound, notServed } from "../failures.ts";
import type { Services } from "../services.ts";
import type { VolumeRecord } from "../store/records.ts";
import type { Handlers } from "../wire.ts";
import { environmentName } from "./session.ts";

type Names =
  | "volumeGetOrCreate"
  | "volumeGetById"
  | "volumeHeartbeat"
  | "volumeDelete"
  | "volumeRename"
  | "volumeList"
  | "volumeCommit"
  | "volumeReload";

const NAMED: readonly number[] = [
  CreationType.LOOKUP,
  CreationType.CREATE_IF_MISSING,
  CreationType.CREATE_FAIL_IF_EXISTS,
];

export function volumeRpcs({ volumes }: Services): Handlers<Names> {
  return {
    async volumeGetOrCreate({
      deploymentName: name,
      environmentName: env,
      objectCreationType: type,
      version,
    }) {
      if (version < 0 || version > 2) throw notServed(`volumes of version ${version}`);
      const environment = environmentName(env);
      if (type === CreationType.EPHEMERAL) return answer(volumes.create({ version, environment }));
      if (!NAMED.includes(type)) throw notServed(`volumes of creation type ${type}`);
      if (name === "") throw invalidArgument("A volume that is not ephemeral needs a name");
      const found = volumes.findNamed(name, environment);
      if (found !== undefined && type === CreationType.CREATE_FAIL_IF_EXISTS)
        throw alreadyExists(`Volume ${name}`);
      if (found !== undefined) return answer(found);
      if (type === CreationType.LOOKUP) throw notFound(`Volume ${name}`);
      return answer(volumes.create({ version, name, environment }));
    },

    async volumeGetById({ volumeId }) {
      const volume = volumes.get(volumeId);
      return { volumeId: volume.id, metadata: metadata(volume) };
    },

    async volumeHeartbeat({ volumeId }) {
      volumes.heartbeat(volumeId);
      return {};
    },

    async volumeDelete({ volumeId }) {
      await volumes.delete(volumeId);
      return {};
    },

    async volumeRename({ volumeId, name }) {
      const volume = volumes.get(volumeId);
      if (volume.name === "") throw invalidArgument("An ephemeral volume has no name");
      if (name === "") throw invalidArgument("A volume needs a name");
      if (volumes.findNamed(name, volume.environment) !== undefined) throw alreadyExists(`Volume ${name}`);
      volumes.rename(volumeId, name);
      return {};
    },

    async volumeList({ environmentName: env, pagination }) {
      const environment = environmentName(env);
      const before = pagination?.createdBefore ? pagination.createdBefore * 1000 : Infinity;
      const items = volumes
        .named(environment)
        .filter((volume) => volume.createdAt < before)
        .toSorted((a, b) => b.createdAt - a.createdAt)
        .slice(0, pagination?.maxObjects ? pagination.maxObjects : undefined)
        .map((volume) => {
          const { id: volumeId, name: label, createdAt } = volume;
          return { label, volumeId, createdAt: createdAt / 1000, metadata: metadata(volume) };
        });
      return { items, environmentName: environment };
    },

    // Changes are seen at once on this machine, so these two only check that the volume is there.
    async volumeCommit({ volumeId }) {
      volumes.get(volumeId);
      return { skipReload: true };
    },

    async volumeReload({ volumeId }) {
      volumes.get(volumeId);
      return {};
    },
  };
}

function answer(volume: VolumeRecord) {
  return { volumeId: volume.id, version: volume.version, metadata: metadata(volume) };
}

function metadata({ version, name, createdAt }: VolumeRecord) {
  return { version, name, creationInfo: { createdAt: createdAt / 1000, createdBy: "gpu-host" } };
}
