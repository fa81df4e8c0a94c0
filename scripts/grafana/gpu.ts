import { board } from "./board.ts";
import { heatmap, INSTANCE, lines, OWN, stat } from "./panels.ts";

const SECONDS = `mirumoji_gpu_seconds_total{${OWN}}`;
const COST = `mirumoji_gpu_cost_usd_total{${OWN}}`;
const LOST = `mirumoji_gpu_cost_usd_total{outcome!="succeeded",${OWN}}`;
const quantile = (q: number, name: string) =>
  `histogram_quantile(${q}, sum by (le, type) (rate(${name}_bucket{${OWN}}[$__rate_interval])))`;

export const gpu = board({
  uid: "mirumoji-gpu",
  title: "Mirumoji worker: GPU and cost",
  description: "What GPU calls cost, how long they wait, and how much of the paid time is work.",
  sections: [
    {
      title: "Spend (estimated)",
      panels: [
        stat({
          title: "USD per hour",
          description: "Over the last hour, by the configured price table.",
          unit: "currencyUSD",
          queries: [[`sum(increase(${COST}[1h]))`, "USD/h"]],
          limits: [10, 20],
          alert: "MirumojiSpendRate",
          width: 6,
        }),
        stat({
          title: "USD in 24 h",
          description: "The last 24 hours.",
          unit: "currencyUSD",
          queries: [[`sum(increase(${COST}[24h]))`, "USD"]],
          width: 6,
        }),
        stat({
          title: "USD per job",
          description: "Of completed jobs in the chosen time, cost of failed calls included.",
          unit: "currencyUSD",
          queries: [
            [
              `sum(increase(${COST}[$__range])) / (sum(increase(mirumoji_jobs_finished_total{status="completed",${OWN}}[$__range])) > 0) or vector(0)`,
              "USD",
            ],
          ],
          width: 6,
        }),
        stat({
          title: "Price per hour",
          description:
            "What the estimate uses, with the day of the price table. Nothing is shown for a GPU without a price.",
          unit: "currencyUSD",
          queries: [
            [
              `max by (gpu, as_of) (mirumoji_gpu_price_usd_per_second{${INSTANCE}}) * 3600`,
              "{{gpu}}, {{as_of}}",
            ],
          ],
          width: 6,
        }),
        lines({
          title: "Spend per hour",
          description: "By job type and GPU.",
          unit: "currencyUSD",
          queries: [[`sum by (type, gpu) (rate(${COST}[1h])) * 3600`, "{{type}} {{gpu}}"]],
          isStacked: true,
          alert: "MirumojiSpendRate",
          width: 8,
        }),
        lines({
          title: "Spend per day",
          description: "The 24 hours before each point, by job type.",
          unit: "currencyUSD",
          queries: [[`sum by (type) (increase(${COST}[24h]))`, "{{type}}"]],
          isStacked: true,
          width: 8,
        }),
        lines({
          title: "Spend without a result, per hour",
          description: "GPU time of calls that failed, were cancelled or got lost.",
          unit: "currencyUSD",
          queries: [[`sum by (outcome) (rate(${LOST}[1h])) * 3600`, "{{outcome}}"]],
          alert: "MirumojiSpendRate",
          width: 8,
        }),
      ],
    },
    {
      title: "Calls",
      panels: [
        lines({
          title: "Calls that ended",
          description: "Per interval, by outcome.",
          unit: "short",
          queries: [
            [
              `sum by (outcome) (increase(mirumoji_gpu_calls_total{${OWN}}[$__rate_interval]))`,
              "{{outcome}}",
            ],
          ],
          isStacked: true,
          width: 8,
        }),
        lines({
          title: "Queue and cold start",
          description:
            "From opening a call to the start of its function. Warm containers (MIRUMOJI_MODAL_SCALEDOWN_WINDOW) make it short.",
          unit: "s",
          queries: [0.5, 0.95].map((q) => [
            quantile(q, "mirumoji_gpu_call_wait_seconds"),
            `p${q * 100} {{type}}`,
          ]),
          limits: [60, 300],
          width: 8,
        }),
        lines({
          title: "Running",
          description: "Of the function, by the server's clock.",
          unit: "s",
          queries: [0.5, 0.95].map((q) => [
            quantile(q, "mirumoji_gpu_call_run_seconds"),
            `p${q * 100} {{type}}`,
          ]),
          width: 8,
        }),
        heatmap({
          title: "Queue and cold start, spread",
          description: "Two bands are cold and warm starts.",
          unit: "s",
          queries: [
            [
              `sum by (le) (increase(mirumoji_gpu_call_wait_seconds_bucket{${OWN}}[$__rate_interval]))`,
              "{{le}}",
            ],
          ],
          width: 12,
        }),
        lines({
          title: "Signs of life of running calls",
          description: "Progress and log lines per second; none for long means that a call hangs.",
          unit: "reqps",
          queries: [
            [`sum by (type) (rate(mirumoji_gpu_call_progress_total{${OWN}}[$__rate_interval]))`, "{{type}}"],
          ],
          alert: "MirumojiNoProgress",
          width: 12,
        }),
      ],
    },
    {
      title: "Use",
      panels: [
        lines({
          title: "GPUs busy",
          description: "GPU seconds per second: how many GPUs were running on average.",
          unit: "short",
          queries: [[`sum by (gpu) (rate(${SECONDS}[1h]))`, "{{gpu}}"]],
          width: 8,
        }),
        lines({
          title: "Utilisation",
          description:
            "Share of GPU seconds in which the engine or encoder worked; the rest is copying and loading models.",
          unit: "percentunit",
          queries: [
            [
              `sum by (type) (rate(mirumoji_engine_seconds_total{${OWN}}[1h])) / sum by (type) (rate(${SECONDS}[1h]))`,
              "{{type}}",
            ],
          ],
          limits: [0.6, 0.3],
          width: 8,
        }),
        lines({
          title: "Real-time factor",
          description: "Seconds of media per GPU second.",
          unit: "suffix:x",
          queries: [
            [
              `sum by (type) (rate(mirumoji_media_seconds_total{${OWN}}[1h])) / sum by (type) (rate(${SECONDS}[1h]))`,
              "{{type}}",
            ],
          ],
          width: 8,
        }),
      ],
    },
  ],
});
