import { AppState } from "../enums.ts";
import { failedPrecondition, notFound } from "../failures.ts";
import { join } from "node:path";
import { syncTree } from "./disk.ts";
import type { AppRecord } from "./records.ts";
import { newId, type State } from "./state.ts";

/** The life of apps: made, published, kept alive when ephemeral, stopped. */
export class Apps {
  readonly #state: State;
  readonly #ttlMs: number;
  readonly #now: () => number;
  readonly #onStop: (app: AppRecord) => void;
  /** Not durable: after a restart every app has its full time again. */
  readonly #lastSeen = new Map<string, number>();

  constructor(options: { state: State; ttlMs: number; now: () => number; onStop: (app: AppRecord) => void }) {
    this.#state = options.state;
    this.#ttlMs = options.ttlMs;
    this.#now = options.now;
    this.#onStop = options.onStop;
    for (const app of this.#state.apps.all()) {
      if (app.state !== AppState.STOPPED) this.#lastSeen.set(app.id, this.#now());
    }
  }

  create(options: { name: string; environment: string; state: number }): AppRecord {
    const id = newId("ap");
    this.#lastSeen.set(id, this.#now());
    return this.#state.apps.put({
      id,
      name: options.name,
      environment: options.environment,
      state: options.state,
      createdAt: this.#now(),
      version: 0,
      functionIds: {},
    });
  }

  /** An app that is known, running or stopped. */
  get(id: string): AppRecord {
    this.sweep();
    const app = this.#state.apps.get(id);
    if (app === undefined) throw notFound(`App ${id}`);
    return app;
  }

  /** An app that is not stopped. */
  running(id: string): AppRecord {
    const app = this.get(id);
    if (app.state === AppState.STOPPED) throw failedPrecondition(`App ${id} is stopped`);
    return app;
  }

  all(): AppRecord[] {
    this.sweep();
    return [...this.#state.apps.all()];
  }

  /** The app that is deployed under a name. */
  findDeployed(name: string, environment: string): AppRecord | undefined {
    return this.#newest(name, environment, (app) => app.state === AppState.DEPLOYED);
  }

  /** The app that was last deployed under a name, and is stopped. */
  findStopped(name: string, environment: string): AppRecord | undefined {
    const wasDeployed = ({ state, deployedAt }: AppRecord) =>
      state === AppState.STOPPED && deployedAt !== undefined;
    return this.#newest(name, environment, wasDeployed);
  }

  #newest(name: string, environment: string, isWanted: (app: AppRecord) => boolean): AppRecord | undefined {
    return this.all()
      .filter((app) => app.name === name && app.environment === environment && isWanted(app))
      .toSorted((a, b) => (a.deployedAt ?? a.createdAt) - (b.deployedAt ?? b.createdAt))
      .at(-1);
  }

  heartbeat(id: string): void {
    this.#lastSeen.set(this.running(id).id, this.#now());
  }

  publish(
    id: string,
    changes: { name: string; state: number; functionIds: Record<string, string> },
  ): AppRecord {
    const app = this.running(id);
    return this.#state.apps.put({
      ...app,
      name: changes.name === "" ? app.name : changes.name,
      state: changes.state,
      functionIds: changes.functionIds,
      deployedAt: this.#now(),
      version: app.version + 1,
    });
  }

  /** Makes an app, its functions and their files outlive a power cut. */
  async sync(id: string): Promise<void> {
    const { functions, apps, paths } = this.#state;
    for (const functionId of Object.values(this.get(id).functionIds)) {
      const definition = functions.get(functionId)?.definition;
      if (definition === undefined) continue;
      await syncTree(join(paths.functions, definition.id));
      await functions.sync(functionId);
    }
    await apps.sync(id);
  }

  /** Stops the apps whose files may be damaged: all that were never deployed. */
  stopUnsynced(): void {
    for (const { id, state } of this.#state.apps.all()) if (state !== AppState.DEPLOYED) this.stop(id);
  }

  stop(id: string): void {
    const app = this.#state.apps.get(id);
    if (app === undefined || app.state === AppState.STOPPED) return;
    this.#lastSeen.delete(id);
    this.#onStop(this.#state.apps.put({ ...app, state: AppState.STOPPED, stoppedAt: this.#now() }));
  }

  /** Stops the ephemeral apps, and those never published, whose heartbeats have stopped. */
  sweep(): void {
    const deadline = this.#now() - this.#ttlMs;
    for (const [id, seen] of this.#lastSeen) {
      const state = this.#state.apps.get(id)?.state;
      const needsHeartbeat = state === AppState.EPHEMERAL || state === AppState.INITIALIZING;
      if (needsHeartbeat && seen < deadline) this.stop(id);
    }
  }
}
