/** Apps by ID, for calls that were started in another worker's app. */
export interface Apps {
  /** Keeps the app alive. Throws `APP_LOST` when it is stopped or gone. */
  heartbeat(options: { appId: string; signal?: AbortSignal }): Promise<void>;
}
