import type { BuiltDashboard } from "./board.ts";
import { gpu } from "./gpu.ts";
import { health } from "./health.ts";
import { overview } from "./overview.ts";
import { states } from "./states.ts";
import { transfers } from "./transfers.ts";

/** Dashboards by their file name in `grafana/dashboards`. */
export const DASHBOARDS: Readonly<Record<string, BuiltDashboard>> = {
  overview,
  states,
  gpu,
  transfers,
  health,
};

/** File content of a dashboard. */
export function dashboardFile(dashboard: BuiltDashboard): string {
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}
