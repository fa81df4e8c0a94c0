/** Variables that name services or settings of this product. */
const OURS = /^(REDIS_URL|MODAL_|MIRUMOJI_|HOST_MEDIA_PATH|BOARD_)/u;

/** Environment for a child with the same settings as this process. */
export function inheritedEnvironment(changes: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...changes };
}

/** Environment for a child with no service and no setting but those given. */
export function isolatedEnvironment(changes: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const foreign = Object.entries(process.env).filter(([name]) => !OURS.test(name));
  return { ...Object.fromEntries(foreign), ...changes };
}
