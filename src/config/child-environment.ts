/** Names of variables that lead to services or settings of ours. */
const OURS = /^(REDIS_URL|MODAL_|MIRUMOJI_|HOST_MEDIA_PATH|BOARD_)/u;

/** The environment for a child that should see what we see. */
export function inheritedEnvironment(changes: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...changes };
}

/** The environment for a child that should know no service and no setting but those given. */
export function isolatedEnvironment(changes: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const foreign = Object.entries(process.env).filter(([name]) => !OURS.test(name));
  return { ...Object.fromEntries(foreign), ...changes };
}
