import { ServerError } from "nice-grpc";
import { type Faults, faultSchema, type VanishFault } from "../faults.ts";
import type { Services } from "../services.ts";
import { currentStats } from "../stats.ts";
import { HttpError } from "./http-error.ts";
import { type Route, sendJson } from "./server.ts";

export function statsRoutes(services: Services): Route[] {
  return [
    {
      method: "GET",
      path: "/stats",
      private: true,
      handle: async (exchange) => await sendJson(exchange, 200, currentStats(services)),
    },
  ];
}

/** Routes by which tests order faults. */
export function faultRoutes(services: Services): Route[] {
  return [
    {
      method: "POST",
      path: "/admin/faults",
      private: true,
      handle: async (exchange) => {
        orderFault(services, readJson(await exchange.text()));
        await sendJson(exchange, 200, {});
      },
    },
    {
      method: "DELETE",
      path: "/admin/faults",
      private: true,
      handle: async (exchange) => {
        services.faults.clear();
        await sendJson(exchange, 200, {});
      },
    },
  ];
}

function orderFault(services: Services, document: unknown): void {
  const fault = faultSchema.safeParse(document);
  if (!fault.success) throw new HttpError(400, `Not a fault: ${JSON.stringify(document)}`);
  if (isVanish(fault.data)) vanish(services, fault.data);
  else services.faults.add(fault.data);
}

function isVanish(fault: Parameters<Faults["add"]>[0] | VanishFault): fault is VanishFault {
  return "id" in fault;
}

function vanish({ volumes, apps, calls, runner }: Services, fault: VanishFault): void {
  try {
    if ("volume" in fault) volumes.vanish(fault.id);
    else if ("app" in fault) apps.stop(apps.running(fault.id).id);
    else {
      runner.cancel(calls.get(fault.id).id, { atOnce: true });
      calls.forget(fault.id);
    }
  } catch (error) {
    if (error instanceof ServerError) throw new HttpError(404, error.details);
    throw error;
  }
}

function readJson(body: string | null): unknown {
  if (body === null) throw new HttpError(413, "The body is too long");
  try {
    return JSON.parse(body);
  } catch {
    throw new HttpError(400, "The body is not JSON");
  }
}
