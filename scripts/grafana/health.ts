import { board } from "./board.ts";
import { INSTANCE, lines, OWN, QUEUE, stat } from "./panels.ts";

export const health = board({
  uid: "mirumoji-health",
  title: "Mirumoji worker: health and leaks",
  description: "Whether anything leaks, and how the processes and their servers are.",
  sections: [
    {
      title: "Leaks",
      panels: [
        stat({
          title: "Leftovers reaped",
          description:
            "Volumes that nobody owned, in the chosen time. The promise is 0: each one is a crash in a bad moment or a bug.",
          unit: "short",
          queries: [[`sum(increase(mirumoji_leftovers_reaped_total{${INSTANCE}}[$__range]))`, "reaped"]],
          limits: [1, 10],
          alert: "MirumojiVolumeLeaked",
          width: 6,
        }),
        stat({
          title: "Leftovers that stay",
          description: "Removals that the reaper could not do, in the chosen time.",
          unit: "short",
          queries: [[`sum(increase(mirumoji_leftover_failures_total{${INSTANCE}}[$__range]))`, "failed"]],
          limits: [1, 5],
          alert: "MirumojiVolumeLeaked",
          width: 6,
        }),
        stat({
          title: "Live volumes",
          description: "Volumes in the ledger. Never more than jobs that are not over.",
          unit: "short",
          queries: [["max(mirumoji_live_volumes)", "volumes"]],
          alert: "MirumojiVolumeLeaked",
          width: 6,
        }),
        stat({
          title: "Stale writes refused",
          description:
            "Workers that had lost their lease and wrote all the same, in the chosen time. Many mean that workers stall.",
          unit: "short",
          queries: [[`sum(increase(mirumoji_stale_writes_refused_total{${INSTANCE}}[$__range]))`, "refused"]],
          limits: [1, 10],
          width: 6,
        }),
        lines({
          title: "Live volumes and unfinished jobs",
          description: "The first line above the second for long is a leak.",
          unit: "short",
          queries: [
            ["max(mirumoji_live_volumes)", "volumes"],
            [
              `sum(max by (queue, state) (mirumoji_queue_jobs{state=~"waiting|prioritized|active|delayed"}))`,
              "unfinished jobs",
            ],
          ],
          alert: "MirumojiVolumeLeaked",
          width: 8,
        }),
        lines({
          title: "Age of the oldest volume",
          description: "A volume lives as long as its job.",
          unit: "s",
          queries: [["max(mirumoji_live_volume_oldest_age_seconds)", "age"]],
          limits: [86_400, 180_000],
          alert: "MirumojiVolumeLeaked",
          width: 8,
        }),
        lines({
          title: "Clean-ups that did not work",
          description: "Left to the reaper, by what was tried.",
          unit: "short",
          queries: [
            [
              `sum by (action) (increase(mirumoji_cleanup_failures_total{${INSTANCE}}[$__rate_interval]))`,
              "{{action}}",
            ],
          ],
          isStacked: true,
          width: 8,
        }),
      ],
    },
    {
      title: "Cancels and leases",
      panels: [
        lines({
          title: "Time to cancel",
          description:
            "From the request to the end of the job, of running jobs. Promised: about a second, plus what the container takes to stop.",
          unit: "s",
          queries: [0.5, 0.95].map((q) => [
            `histogram_quantile(${q}, sum by (le) (rate(mirumoji_cancel_duration_seconds_bucket{${OWN}}[$__rate_interval])))`,
            `p${q * 100}`,
          ]),
          limits: [5, 10],
          width: 12,
        }),
        lines({
          title: "Stale writes refused",
          description: "Per interval and worker.",
          unit: "short",
          queries: [
            [
              `sum by (instance) (increase(mirumoji_stale_writes_refused_total{${INSTANCE}}[$__rate_interval]))`,
              "{{instance}}",
            ],
          ],
          isStacked: true,
          width: 12,
        }),
      ],
    },
    {
      title: "Modal and Redis",
      panels: [
        lines({
          title: "Modal requests by code",
          description: "Per second. ABORTED_BY_US is a long poll that we ended.",
          unit: "reqps",
          queries: [
            [`sum by (code) (rate(mirumoji_modal_rpcs_total{${INSTANCE}}[$__rate_interval]))`, "{{code}}"],
          ],
          width: 8,
        }),
        lines({
          title: "Modal request time",
          description: "95 of 100 are faster, by method; FunctionGetOutputs and AppGetLogs are long polls.",
          unit: "s",
          queries: [
            [
              `histogram_quantile(0.95, sum by (le, method) (rate(mirumoji_modal_rpc_duration_seconds_bucket{${INSTANCE}}[$__rate_interval])))`,
              "{{method}}",
            ],
          ],
          width: 8,
        }),
        lines({
          title: "Redis answers",
          description: "1 while the process reaches Redis in time.",
          unit: "short",
          queries: [["min by (instance) (mirumoji_redis_up)", "{{instance}}"]],
          alert: "MirumojiRedisDown",
          width: 8,
        }),
        lines({
          title: "Redis memory",
          description: "With maxmemory; 0 is no limit. At the limit Redis refuses writes, and jobs wait.",
          unit: "bytes",
          queries: [
            ["max(mirumoji_redis_memory_used_bytes)", "used"],
            ["max(mirumoji_redis_memory_limit_bytes)", "limit"],
          ],
          width: 12,
        }),
        lines({
          title: "Workers and paused queues",
          description:
            "Connected workers by queue. An operator pauses a queue; the pool pauses while Modal is away or asks for it; a worker pauses for its disk, its token or its network.",
          unit: "short",
          queries: [
            [`max by (queue) (mirumoji_workers{${QUEUE}})`, "{{queue}} workers"],
            [`max by (queue) (mirumoji_queue_paused{${QUEUE}})`, "{{queue}} paused"],
            ["max by (reason) (mirumoji_pool_paused)", "pool paused: {{reason}}"],
            [`sum by (reason) (mirumoji_intake_paused{${INSTANCE}})`, "workers paused: {{reason}}"],
          ],
          alert: "MirumojiNoWorker",
          width: 12,
        }),
      ],
    },
    {
      title: "Webhooks",
      panels: [
        lines({
          title: "Webhooks by outcome",
          description:
            "Tries per second. A failed one is repeated for 24 h; a dead one was given up, until `webhooks replay`.",
          unit: "short",
          queries: [
            [
              `sum by (outcome) (rate(mirumoji_webhook_tries_total{${INSTANCE}}[$__rate_interval]))`,
              "{{outcome}}",
            ],
          ],
          isStacked: true,
          alert: "MirumojiWebhooksLate",
          width: 8,
        }),
        lines({
          title: "Webhooks that wait",
          description: "Events that are not delivered yet, and those that were given up and not replayed.",
          unit: "short",
          queries: [
            ["max(mirumoji_webhooks_pending)", "not delivered"],
            ["max(mirumoji_webhooks_dead)", "given up"],
          ],
          alert: "MirumojiWebhooksLate",
          width: 8,
        }),
        lines({
          title: "Age of the oldest webhook",
          description: "Since its event. A receiver that answers has it within seconds.",
          unit: "s",
          queries: [["max(mirumoji_webhook_oldest_age_seconds)", "oldest"]],
          limits: [600, 3600],
          alert: "MirumojiWebhooksLate",
          width: 8,
        }),
      ],
    },
    {
      title: "Processes",
      panels: [
        lines({
          title: "Event-loop lag",
          description: "99 of 100 turns are faster. Leases are renewed every 5 s; lag of seconds costs them.",
          unit: "s",
          queries: [[`nodejs_eventloop_lag_p99_seconds{${INSTANCE}}`, "{{instance}}"]],
          limits: [0.5, 3],
          width: 8,
        }),
        lines({
          title: "Memory",
          description: "Resident; bounded by the blocks in flight, never by the file.",
          unit: "bytes",
          queries: [[`process_resident_memory_bytes{${INSTANCE}}`, "{{instance}}"]],
          width: 8,
        }),
        lines({
          title: "Processor",
          description: "Cores in use.",
          unit: "short",
          queries: [[`rate(process_cpu_seconds_total{${INSTANCE}}[$__rate_interval])`, "{{instance}}"]],
          width: 8,
        }),
        stat({
          title: "Versions",
          description: "What runs; more than one version is a deploy under way.",
          unit: "short",
          queries: [
            [
              `count by (version, role, node) (mirumoji_build_info{${INSTANCE}})`,
              "{{role}} {{version}} (Node {{node}})",
            ],
          ],
          width: 24,
        }),
      ],
    },
  ],
});
