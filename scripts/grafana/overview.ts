import { board } from "./board.ts";
import { lines, OWN, QUEUE, stat } from "./panels.ts";

const FINISHED = "mirumoji_jobs_finished_total";
const ratio = (window: string) =>
  `(sum(increase(${FINISHED}{status="completed",${OWN}}[${window}])) / ` +
  `sum(increase(${FINISHED}{status=~"completed|failed",${OWN}}[${window}]))) >= 0 or vector(1)`;
const quantile = (q: number, name: string) =>
  `histogram_quantile(${q}, sum by (le, type) (rate(${name}_bucket{${OWN}}[$__rate_interval])))`;

export const overview = board({
  uid: "mirumoji-overview",
  title: "Mirumoji worker: overview",
  description: "Is it keeping up, and do jobs succeed?",
  sections: [
    {
      title: "Now",
      panels: [
        stat({
          title: "Success ratio",
          description:
            "Completed of all jobs that completed or failed in the chosen time; cancelled ones do not count.",
          unit: "percentunit",
          queries: [[ratio("$__range"), "success"]],
          limits: [0.95, 0.8],
          alert: "MirumojiFailureRatio",
          width: 4,
        }),
        stat({
          title: "Waiting jobs",
          description: "Jobs in line that no worker has taken.",
          unit: "short",
          queries: [
            [
              `sum(max by (queue, state) (mirumoji_queue_jobs{${QUEUE},state=~"waiting|prioritized"}))`,
              "waiting",
            ],
          ],
          limits: [100, 1000],
          alert: "MirumojiBacklogOld",
          width: 4,
        }),
        stat({
          title: "Oldest waiting job",
          description: "How long ago the first job in line was submitted: the best sign of not keeping up.",
          unit: "s",
          queries: [[`max(mirumoji_queue_oldest_waiting_age_seconds{${QUEUE}})`, "age"]],
          limits: [600, 1800],
          alert: "MirumojiBacklogOld",
          width: 4,
        }),
        stat({
          title: "Workers",
          description: "Workers connected to Redis, of the queue that has fewest.",
          unit: "short",
          queries: [[`min(max by (queue) (mirumoji_workers{${QUEUE}}))`, "workers"]],
          limits: [2, 1],
          alert: "MirumojiNoWorker",
          width: 4,
        }),
        stat({
          title: "Redis",
          description: "1 when every process reaches Redis.",
          unit: "short",
          queries: [["min(mirumoji_redis_up)", "up"]],
          limits: [1, 1],
          alert: "MirumojiRedisDown",
          width: 4,
        }),
        stat({
          title: "Spend in 24 h",
          description: "Estimated from GPU seconds and the configured price table.",
          unit: "currencyUSD",
          queries: [[`sum(increase(mirumoji_gpu_cost_usd_total{${OWN}}[24h]))`, "USD"]],
          alert: "MirumojiSpendRate",
          width: 4,
        }),
      ],
    },
    {
      title: "Traffic",
      panels: [
        lines({
          title: "Jobs that ended",
          description: "Per interval, by status.",
          unit: "short",
          queries: [[`sum by (status) (increase(${FINISHED}{${OWN}}[$__rate_interval]))`, "{{status}}"]],
          isStacked: true,
          width: 12,
        }),
        lines({
          title: "Failures by code",
          description: "Per interval. Every code has a row in docs/errors.md that says what to do.",
          unit: "short",
          queries: [
            [
              `sum by (code) (increase(${FINISHED}{status="failed",${OWN}}[$__rate_interval])) > 0`,
              "{{code}}",
            ],
          ],
          isStacked: true,
          alert: "MirumojiFailureRatio",
          width: 12,
        }),
        lines({
          title: "Success ratio over an hour",
          description: "Completed of completed and failed.",
          unit: "percentunit",
          queries: [[ratio("1h"), "success"]],
          limits: [0.95, 0.8],
          alert: "MirumojiFailureRatio",
          width: 12,
        }),
        lines({
          title: "Time of a job",
          description: "From first activation to the end; half, 95 of 100 and 99 of 100 jobs are faster.",
          unit: "s",
          queries: [0.5, 0.95, 0.99].map((q) => [
            quantile(q, "mirumoji_job_duration_seconds"),
            `p${q * 100} {{type}}`,
          ]),
          width: 12,
        }),
      ],
    },
    {
      title: "Backlog",
      panels: [
        lines({
          title: "Jobs by state in the queue",
          description: "Delayed jobs wait for their next try.",
          unit: "short",
          queries: [
            [
              `max by (queue, state) (mirumoji_queue_jobs{${QUEUE},state=~"waiting|active|delayed|prioritized"})`,
              "{{queue}} {{state}}",
            ],
          ],
          alert: "MirumojiBacklogOld",
          width: 8,
        }),
        lines({
          title: "Age of the oldest waiting job",
          description: "Grows by a second each second while nobody takes it.",
          unit: "s",
          queries: [[`max by (queue) (mirumoji_queue_oldest_waiting_age_seconds{${QUEUE}})`, "{{queue}}"]],
          limits: [600, 1800],
          alert: "MirumojiBacklogOld",
          width: 8,
        }),
        lines({
          title: "Time in the queue",
          description: "Before the first activation, of jobs that were taken.",
          unit: "s",
          queries: [0.5, 0.95].map((q) => [quantile(q, "mirumoji_job_wait_seconds"), `p${q * 100} {{type}}`]),
          width: 8,
        }),
      ],
    },
  ],
});
