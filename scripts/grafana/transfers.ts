import { board } from "./board.ts";
import { heatmap, INSTANCE, lines, stat } from "./panels.ts";

const BYTES = `mirumoji_transfer_bytes_total{${INSTANCE}}`;

export const transfers = board({
  uid: "mirumoji-transfers",
  title: "Mirumoji worker: transfers",
  description: "Files on their way to and from volumes.",
  sections: [
    {
      title: "Transfers",
      panels: [
        stat({
          title: "Uploaded",
          description: "In the chosen time.",
          unit: "bytes",
          queries: [
            [
              `sum(increase(mirumoji_transfer_bytes_total{direction="upload",${INSTANCE}}[$__range]))`,
              "bytes",
            ],
          ],
          width: 6,
        }),
        stat({
          title: "Downloaded",
          description: "In the chosen time.",
          unit: "bytes",
          queries: [
            [
              `sum(increase(mirumoji_transfer_bytes_total{direction="download",${INSTANCE}}[$__range]))`,
              "bytes",
            ],
          ],
          width: 6,
        }),
        stat({
          title: "Saved",
          description:
            "Bytes of inputs that did not travel: all but the audio, zero tails, and blocks that the server had.",
          unit: "bytes",
          queries: [[`sum(increase(mirumoji_transfer_saved_bytes_total{${INSTANCE}}[$__range]))`, "bytes"]],
          width: 6,
        }),
        stat({
          title: "Under way",
          description: "Transfers that run now.",
          unit: "short",
          queries: [[`sum(mirumoji_transfers_in_flight{${INSTANCE}})`, "transfers"]],
          width: 6,
        }),
        lines({
          title: "Throughput",
          description: "Bytes per second, counted as they move.",
          unit: "Bps",
          queries: [[`sum by (direction) (rate(${BYTES}[$__rate_interval]))`, "{{direction}}"]],
          alert: "MirumojiNoProgress",
          width: 12,
        }),
        lines({
          title: "Slots in use",
          description: "Transfers that run or wait, of those that may move at once. Above 100 % some wait.",
          unit: "percentunit",
          queries: [
            [
              `sum(mirumoji_transfers_in_flight{${INSTANCE}}) / sum(mirumoji_transfer_slots{${INSTANCE}})`,
              "in use",
            ],
          ],
          limits: [1, 2],
          width: 12,
        }),
        lines({
          title: "Time of a file",
          description: "Hashing and listing included; 95 of 100 are faster.",
          unit: "s",
          queries: [
            [
              `histogram_quantile(0.95, sum by (le, direction) (rate(mirumoji_transfer_duration_seconds_bucket{${INSTANCE}}[$__rate_interval])))`,
              "{{direction}}",
            ],
          ],
          width: 8,
        }),
        heatmap({
          title: "Time of a file, spread",
          description: "All transfers.",
          unit: "s",
          queries: [
            [
              `sum by (le) (increase(mirumoji_transfer_duration_seconds_bucket{${INSTANCE}}[$__rate_interval]))`,
              "{{le}}",
            ],
          ],
          width: 8,
        }),
        lines({
          title: "Transfers that ended",
          description: "Stopped: the job was cancelled or handed over. Failed ones are tried again.",
          unit: "short",
          queries: [
            [
              `sum by (direction, outcome) (increase(mirumoji_transfer_duration_seconds_count{${INSTANCE}}[$__rate_interval]))`,
              "{{direction}} {{outcome}}",
            ],
          ],
          isStacked: true,
          width: 8,
        }),
      ],
    },
  ],
});
