import type { CallContext, ServerMiddlewareCall } from "nice-grpc";

/** Far longer than an SDK goes on trying one call. */
const KEPT_MS = 5 * 60 * 1000;

/**
 * Gives a repeated request, known by its idempotency key, the answer to the first one,
 * so that a lost answer never makes a second volume or a second call. Failures are not kept.
 */
export function replay(now: () => number) {
  const answers = new Map<string, { readonly at: number; readonly answer: Promise<unknown> }>();

  function forgetOld(): void {
    for (const [key, { at }] of answers) {
      if (now() - at <= KEPT_MS) return;
      answers.delete(key);
    }
  }

  return async function* replayed<Request, Response>(
    call: ServerMiddlewareCall<Request, Response>,
    context: CallContext,
  ) {
    const request = call.request as Request;
    const idempotencyKey = context.metadata.get("x-idempotency-key") ?? "";
    if (call.responseStream || idempotencyKey === "") return yield* call.next(request, context);
    forgetOld();
    const key = `${call.method.path} ${idempotencyKey}`;
    const known = answers.get(key);
    if (known !== undefined) return (await known.answer) as Response;
    const answer = first(call.next(request, context));
    answers.set(key, { at: now(), answer });
    try {
      return await answer;
    } catch (error) {
      answers.delete(key);
      throw error;
    }
  };
}

/** Return value of a unary call, which yields nothing. */
async function first<Response>(running: AsyncGenerator<never, Response, undefined>): Promise<Response> {
  return (await running.next()).value;
}
