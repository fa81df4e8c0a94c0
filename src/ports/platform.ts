import type { MirumojiError } from "../job/errors.ts";

/** Judge of trouble with Modal that steps meet. */
export interface Platform {
  /**
   * Takes trouble of the kinds `platform`, `quota` and `worker`, and sees to it that no jobs are taken while it lasts.
   * False when Modal is well and this one request is what fails: then the job has to count it.
   */
  report(error: MirumojiError): Promise<boolean>;
}
