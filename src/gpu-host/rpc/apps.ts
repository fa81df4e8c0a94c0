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
  | "appStop"
  | "appList"
  | "taskList";

const STATES: readonly number[] = Object.values(AppState);

export function appRpcs({ apps, state, calls }: Services): Handlers<Names> {
  const running = (appId: string) =>
    calls
      .unfinishedOf(appId)
      .flatMap(({ id }) => calls.inputsOf(id).filter((input) => input.state === "running"));

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

    async appGetByDeploymentName({ name, environmentName: asked }) {
      const environment = environmentName(asked);
      const app = apps.findDeployed(name, environment);
      if (app !== undefined)
        return { appId: app.id, environmentName: environment, lifecycle: lifecycle(app) };
      const previous = apps.findStopped(name, environment);
      return {
        previousAppId: previous?.id ?? "",
        environmentName: environment,
        ...(previous === undefined ? {} : { lifecycle: lifecycle(previous) }),
      };
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
      if (appState === AppState.DEPLOYED) await apps.sync(appId);
      return { url: "", deployedAt: seconds(app.deployedAt) };
    },

    async appGetLayout({ appId }) {
      const app = apps.get(appId);
      // A function whose record was lost is left out, so that the app can be deployed again.
      const known = Object.entries(app.functionIds).flatMap(([tag, id]) => {
        const record = state.functions.get(id);
        return record === undefined ? [] : [{ tag, record }];
      });
      const objects = known.map(({ record }) => {
        return { objectId: record.id, functionHandleMetadata: handleMetadata(record) };
      });
      return {
        appLayout: {
          objects,
          functionIds: Object.fromEntries(known.map(({ tag, record }) => [tag, record.id])),
        },
      };
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

    async appList({ environmentName: asked }) {
      const listed = apps.all().filter(({ environment }) => environment === environmentName(asked));
      return {
        apps: listed.map((app) => ({
          appId: app.id,
          description: app.name,
          name: app.state === AppState.DEPLOYED ? app.name : "",
          state: app.state,
          createdAt: seconds(app.createdAt),
          stoppedAt: seconds(app.stoppedAt),
          nRunningTasks: running(app.id).length,
        })),
      };
    },

    /** One task for each input that runs. */
    async taskList({ appId, environmentName: asked }) {
      const listed = apps
        .all()
        .filter((app) => (appId === "" ? app.environment === environmentName(asked) : app.id === appId));
      const tasks = listed.flatMap((app) =>
        running(app.id).map(({ id, createdAt, startedAt }) => ({
          taskId: id.replace(/^in-/, "ta-"),
          appId: app.id,
          appDescription: app.name,
          enqueuedAt: seconds(createdAt),
          startedAt: seconds(startedAt),
        })),
      );
      return { tasks };
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
