import {
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  TextBoxVariableBuilder,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";
import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import type { Panel } from "@grafana/grafana-foundation-sdk/dashboard";
import { DATASOURCE } from "./panels.ts";

const TAG = "mirumoji";

/** Panels under a heading. */
export interface Section {
  readonly title: string;
  readonly panels: readonly Builder<Panel>[];
}

export interface BoardOptions {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly sections: readonly Section[];
  /** Adds a variable of the machine's states. */
  readonly withStates?: boolean;
}

function labelVariable(name: string, label: string, values: string): QueryVariableBuilder {
  return (
    new QueryVariableBuilder(name)
      .label(label)
      .datasource(DATASOURCE)
      .query({ query: values, refId: name })
      .definition(values)
      .refresh(VariableRefresh.OnTimeRangeChanged)
      // oxlint-disable-next-line unicorn/no-array-sort -- it is no array
      .sort(VariableSort.AlphabeticalAsc)
      .multi(true)
      .includeAll(true)
      .allValue(".*")
      .current({ selected: true, text: ["All"], value: ["$__all"] })
  );
}

/** Grafana's classic dashboard schema, which every version since 10 can load; the new one needs 12 or 13. */
export type BuiltDashboard = ReturnType<typeof board>;

/** Dashboard with the common parts: variables, links to the others, to Bull Board and to the runbook. */
export function board(options: BoardOptions) {
  // oxlint-disable-next-line typescript/no-deprecated -- see `BuiltDashboard`
  const builder = new DashboardBuilder(options.title)
    .uid(options.uid)
    .description(options.description)
    .tags([TAG])
    .time({ from: "now-6h", to: "now" })
    .refresh("30s")
    .timezone("browser")
    .readonly()
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"))
    .withVariable(labelVariable("type", "Job type", "label_values(mirumoji_jobs_started_total, type)"))
    .withVariable(labelVariable("instance", "Worker", "label_values(mirumoji_build_info, instance)"))
    .link(
      new DashboardLinkBuilder("Dashboards").type(DashboardLinkType.Dashboards).tags([TAG]).keepTime(true),
    )
    .link(toApi("Bull Board", "/board"))
    .link(toApi("Runbook", "/docs/operations"));
  if (options.withStates === true) {
    builder.withVariable(
      labelVariable("state", "State", "label_values(mirumoji_state_duration_seconds_count, state)"),
    );
  }
  builder.withVariable(
    new TextBoxVariableBuilder("api")
      .label("Address of Bull Board")
      .description("Where links to Bull Board and the runbook lead")
      .defaultValue("http://localhost:9464"),
  );
  for (const { title, panels } of options.sections) {
    builder.withRow(new RowBuilder(title));
    for (const panel of panels) builder.withPanel(panel);
  }
  return builder.build();
}

function toApi(title: string, path: string): DashboardLinkBuilder {
  return new DashboardLinkBuilder(title)
    .type(DashboardLinkType.Link)
    .url(`\${api}${path}`)
    .icon("external link")
    .tooltip(title)
    .targetBlank(true);
}
