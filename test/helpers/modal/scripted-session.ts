import type { ControlPlane, ModalSession } from "../../../src/modal/rpc/session.ts";

type Answers = Partial<
  Record<keyof ControlPlane, (request: never, options: { signal?: AbortSignal }) => unknown>
>;

/**
 * A session whose answers are written in the test, for servers that behave as no well-behaved server
 * does. An RPC that is not scripted fails the test.
 */
export function scriptedSession(
  answers: Answers,
): ModalSession & { readonly asked: [string, unknown][]; readonly warnings: string[] } {
  const asked: [string, unknown][] = [];
  const warnings: string[] = [];
  const cpClient = new Proxy(answers, {
    get: (target, rpc) => {
      const answer = Reflect.get(target, rpc) as ((request: unknown, options: object) => unknown) | undefined;
      if (answer === undefined) throw new Error(`the test has no answer to ${String(rpc)}`);
      return (request: unknown, options: object) => {
        asked.push([String(rpc), request]);
        return answer(request, options);
      };
    },
  });
  return {
    cpClient: cpClient as unknown as ControlPlane,
    environment: "",
    renew: () => {},
    close: () => {},
    warn: (message) => void warnings.push(message),
    asked,
    warnings,
  };
}
