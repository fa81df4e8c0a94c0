import { PLATFORM_ERRORS } from "./platform-errors.ts";
import { REQUEST_ERRORS } from "./request-errors.ts";
import { WORKER_ERRORS } from "./worker-errors.ts";

/**
 * Every failure in the system is one of these codes. The code is what is stored, logged, counted and
 * shown; the kind decides what the machine does about it (see `machine.ts`). `docs/errors.md` is
 * generated from this closed list.
 */
export const ERRORS = { ...REQUEST_ERRORS, ...PLATFORM_ERRORS, ...WORKER_ERRORS } as const;
