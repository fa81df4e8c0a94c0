import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import {
  GraphDrawStyle,
  LegendDisplayMode,
  LegendPlacement,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import {
  DashboardLinkBuilder,
  DashboardLinkType,
  type Panel,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from "@grafana/grafana-foundation-sdk/dashboard";
import {
  HeatmapColorMode,
  HeatmapColorOptionsBuilder,
  PanelBuilder as HeatmapBuilder,
} from "@grafana/grafana-foundation-sdk/heatmap";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TimeSeriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";

export const DATASOURCE = { type: "prometheus", uid: "${datasource}" };

/** Label filters for metrics that a worker counts. */
export const OWN = 'type=~"$type",instance=~"$instance"';
export const INSTANCE = 'instance=~"$instance"';
/** Label filter for metrics that every process reads from Redis; aggregate with `max by`. */
export const QUEUE = 'queue=~"$type"';

type Unit = "short" | "s" | "bytes" | "Bps" | "percentunit" | "currencyUSD" | "reqps" | "none" | "suffix:x";

export interface PanelOptions {
  readonly title: string;
  /** Description of the panel, and advice when it looks wrong. */
  readonly description: string;
  readonly unit: Unit;
  /** Pairs of query and legend. */
  readonly queries: readonly (readonly [expression: string, legend: string])[];
  /** Thresholds for warning and error; `[1, 0.9]` means that lower is worse. */
  readonly limits?: readonly [warning: number, error: number];
  /** Alert whose runbook section explains the panel. */
  readonly alert?: string;
  /** Width in columns of 24. */
  readonly width: number;
  readonly isStacked?: boolean;
  /** Variable that the panel is repeated by. */
  readonly repeat?: string;
}

const GREEN = "green";
const ORANGE = "orange";
const RED = "red";

/** Anchor of an alert's section in `docs/operations.md`. */
function runbookPath(alert: string): string {
  return `/docs/operations#${alert.toLowerCase()}`;
}

function query([expression, legend]: readonly [string, string], index: number): DataqueryBuilder {
  return new DataqueryBuilder()
    .datasource(DATASOURCE)
    .expr(expression)
    .legendFormat(legend)
    .refId(String.fromCodePoint(65 + index));
}

function limitsOf(limits: PanelOptions["limits"]): ThresholdsConfigBuilder {
  const builder = new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute);
  if (limits === undefined) return builder.steps([{ value: null, color: GREEN }]);
  const [warning, error] = limits;
  return builder.steps(
    warning <= error
      ? [
          { value: null, color: GREEN },
          { value: warning, color: ORANGE },
          { value: error, color: RED },
        ]
      : [
          { value: null, color: RED },
          { value: error, color: ORANGE },
          { value: warning, color: GREEN },
        ],
  );
}

function linksOf({ alert }: PanelOptions): DashboardLinkBuilder[] {
  if (alert === undefined) return [];
  return [
    new DashboardLinkBuilder("What to do")
      .type(DashboardLinkType.Link)
      .url(`\${api}${runbookPath(alert)}`)
      .targetBlank(true),
  ];
}

/** Panel with one number. */
export function stat(options: PanelOptions): Builder<Panel> {
  return new StatBuilder()
    .title(options.title)
    .description(options.description)
    .datasource(DATASOURCE)
    .unit(options.unit)
    .thresholds(limitsOf(options.limits))
    .links(linksOf(options))
    .span(options.width)
    .height(4)
    .targets(options.queries.map((entry, index) => query(entry, index).instant()));
}

/** Panel with lines over time. */
export function lines(options: PanelOptions): Builder<Panel> {
  return new TimeSeriesBuilder()
    .title(options.title)
    .description(options.description)
    .datasource(DATASOURCE)
    .unit(options.unit)
    .min(0)
    .thresholds(limitsOf(options.limits))
    .links(linksOf(options))
    .span(options.width)
    .height(8)
    .drawStyle(options.isStacked === true ? GraphDrawStyle.Bars : GraphDrawStyle.Line)
    .fillOpacity(options.isStacked === true ? 60 : 8)
    .stacking(
      new StackingConfigBuilder().mode(options.isStacked === true ? StackingMode.Normal : StackingMode.None),
    )
    .showPoints(VisibilityMode.Never)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi))
    .targets(options.queries.map((entry, index) => query(entry, index).range()));
}

/** Heatmap of a histogram over time. */
export function heatmap(options: PanelOptions): Builder<Panel> {
  const panel = new HeatmapBuilder()
    .title(options.title)
    .description(options.description)
    .datasource(DATASOURCE)
    .unit(options.unit)
    .calculate(false)
    .color(new HeatmapColorOptionsBuilder().mode(HeatmapColorMode.Scheme).scheme("Oranges").steps(64))
    .links(linksOf(options))
    .span(options.width)
    .height(8)
    .targets(
      options.queries.map((entry, index) => query(entry, index).range().format(PromQueryFormat.Heatmap)),
    );
  return options.repeat === undefined
    ? panel
    : panel.repeat(options.repeat).repeatDirection("h").maxPerRow(3);
}
