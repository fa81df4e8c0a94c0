import { AppState, CreationType } from "../enums.ts";
import { invalidArgument, notFound, notServed } from "../failures.ts";
import type { Services } from "../services.ts";
import type { AppRecord } from "../store/records.ts";
import type { Handlers } from "../wire.ts";
import { handleMetadata } from "./functions.ts";
import { environmentName } from "./session.ts";

type Names =
  | "appCreate"
  | "appGetOrCreate"
  | "appGetByDeploymentName"
  | "appHeartbeat"
  | "appPublish"
  | "appGetLayout"
  | "appGetLifecycle"
  | "appClientDisconnect"
  | "appStop";

const STATES: readonly number[] = Object.values(AppState);

export function appRpcs({ apps, state }: Services): Handlers<Names> {
  return {
    async appCreate(request) {
      const asked = request.appState === 0 ? AppState.INITIALIZING : request.appState;
      if (!STATES.includes(asked)) throw notServed(`apps of state ${asked}`);
      const environment = environmentName(request.environmentName);
      const app = apps.create({ name: request.description, environment, state: asked });
      return { appId: app.id, appPageUrl: "" };
    },

    async appGetOrCreate({ appName, environmentName: environment, objectCreationType }) {
      const name = environmentName(environment);
      const found = apps.findDeployed(appName, name);
      if (found !== undefined) return { appId: found.id };
      if (objectCreationType !== CreationType.CREATE_IF_MISSING) throw notFound(`App ${appName}`);
      return { appId: apps.create({ name: appName, environment: name, state: AppState.DEPLOYED }).id };
    },

    async appGetByDeploymentName({ name, environmentName: environment }) {
      const app = apps.findDeployed(name, environmentName(environment));
      return app === undefined
        ? {}
        : { appId: app.id, environmentName: app.environment, lifecycle: lifecycle(app) };
    },

    async appHeartbeat({ appId }) {
      apps.heartbeat(appId);
      return {};
    },

    async appPublish({ appId, name, appState, functionIds, classIds }) {
      if (Object.keys(classIds).length > 0) throw notServed("classes");
      for (const [tag, id] of Object.entries(functionIds)) {
        const published = state.functions.get(id);
        if (published?.appId !== appId) throw notFound(`Function ${tag} (${id}) of app ${appId}`);
        if (published.definition === undefined) throw invalidArgument(`Function ${tag} was not created`);
      }
      const app = apps.publish(appId, { name, state: appState, functionIds });
      return { url: "", deployedAt: seconds(app.deployedAt) };
    },

    async appGetLayout({ appId }) {
      const app = apps.get(appId);
      const objects = Object.values(app.functionIds).map((id) => {
        const found = state.functions.get(id);
        if (found === undefined) throw notFound(`Function ${id}`);
        return { objectId: id, functionHandleMetadata: handleMetadata(found) };
      });
      return { appLayout: { objects, functionIds: { ...app.functionIds } } };
    },

    async appGetLifecycle({ appId }) {
      return { lifecycle: lifecycle(apps.get(appId)) };
    },

    async appClientDisconnect({ appId }) {
      const needsClient: readonly number[] = [AppState.EPHEMERAL, AppState.INITIALIZING];
      if (needsClient.includes(apps.get(appId).state)) apps.stop(appId);
      return {};
    },

    async appStop({ appId }) {
      apps.stop(apps.get(appId).id);
      return {};
    },
  };
}

function lifecycle(app: AppRecord) {
  return {
    appState: app.state,
    createdAt: seconds(app.createdAt),
    deployedAt: seconds(app.deployedAt),
    stoppedAt: seconds(app.stoppedAt),
    version: app.version,
  };
}

function seconds(ms: number | undefined): number {
  return (ms ?? 0) / 1000;
}
