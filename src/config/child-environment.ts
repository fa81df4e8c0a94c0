/** Variables that name services or settings of this product. */
const OURS = /^(REDIS_URL|MODAL_|MIRUMOJI_|HOST_MEDIA_PATH|BOARD_)/u;

/** Variables that any program may need; none of them holds a secret. */
const COMMON =
  /^(PATH|HOME|USER|LANG|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|XDG_CACHE_HOME|CUDA_.*|NVIDIA_.*|PYTHONPATH|HF_HOME)$/u;

/** Variables of ours that a handler may read, such as the model to load. */
const HANDLER = /^MIRUMOJI_(?!.*(?:TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY|_URL))/u;

/** Variables that a GPU host needs on top: its own token. */
const GPU_HOST = /^(MODAL_TOKEN_ID|MODAL_TOKEN_SECRET|MIRUMOJI_MODAL_REGISTRY_SECRET)$/u;

/** Environment for a program that is not ours, such as ffmpeg: no setting and no secret. */
export function programEnvironment(): NodeJS.ProcessEnv {
  return chosen(COMMON);
}

/** Environment for Python that runs handlers: their settings, and no secret. */
export function handlerEnvironment(changes: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...chosen(COMMON, HANDLER), ...changes };
}

/** Environment for a GPU host that we start: its own settings, and no way to Redis or the HTTP side. */
export function gpuHostEnvironment(changes: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...chosen(COMMON, HANDLER, GPU_HOST), ...changes };
}

/** Environment for a child with no service and no setting but those given. */
export function isolatedEnvironment(changes: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const foreign = Object.entries(process.env).filter(([name]) => !OURS.test(name));
  return { ...Object.fromEntries(foreign), ...changes };
}

function chosen(...patterns: readonly RegExp[]): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env);
  return Object.fromEntries(entries.filter(([name]) => patterns.some((pattern) => pattern.test(name))));
}
