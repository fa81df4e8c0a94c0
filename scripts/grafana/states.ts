import { board } from "./board.ts";
import { heatmap, lines, OWN, INSTANCE } from "./panels.ts";

const STATED = `${OWN},state=~"$state"`;

export const states = board({
  uid: "mirumoji-states",
  title: "Mirumoji worker: jobs and states",
  description: "Where jobs spend their time, what is tried again, and what is stuck.",
  withStates: true,
  sections: [
    {
      title: "Where jobs are",
      panels: [
        lines({
          title: "Running jobs by state",
          description: "Jobs that workers have in their hands.",
          unit: "short",
          queries: [[`sum by (state) (mirumoji_jobs_in_state{${STATED}})`, "{{state}}"]],
          isStacked: true,
          alert: "MirumojiStateStuck",
          width: 8,
        }),
        lines({
          title: "Longest time in a state, now",
          description: "How long the oldest running job has been in its state on this worker.",
          unit: "s",
          queries: [[`max by (state) (mirumoji_state_oldest_age_seconds{${STATED}})`, "{{state}}"]],
          limits: [3600, 18_000],
          alert: "MirumojiStateStuck",
          width: 8,
        }),
        lines({
          title: "Slots in use",
          description: "Running jobs of the most that the workers take. At 1 another worker helps.",
          unit: "percentunit",
          queries: [
            [
              `sum by (type) (mirumoji_jobs_in_flight{${OWN}}) / sum by (type) (mirumoji_job_slots{${OWN}})`,
              "{{type}}",
            ],
          ],
          limits: [0.9, 1],
          alert: "MirumojiBacklogOld",
          width: 8,
        }),
      ],
    },
    {
      title: "Time in each state",
      panels: [
        heatmap({
          title: "$state",
          description: "How long jobs were in the state, retries and their pauses included.",
          unit: "s",
          queries: [
            [
              `sum by (le) (increase(mirumoji_state_duration_seconds_bucket{${STATED}}[$__rate_interval]))`,
              "{{le}}",
            ],
          ],
          repeat: "state",
          width: 8,
        }),
      ],
    },
    {
      title: "Tries",
      panels: [
        lines({
          title: "Retries by code",
          description: "Per interval. A storm of one code is one cause: see docs/errors.md.",
          unit: "short",
          queries: [
            [
              `sum by (code) (increase(mirumoji_step_retries_total{${INSTANCE},state=~"$state"}[$__rate_interval])) > 0`,
              "{{code}}",
            ],
          ],
          isStacked: true,
          width: 12,
        }),
        lines({
          title: "Tries of steps by outcome",
          description: "Per interval.",
          unit: "short",
          queries: [
            [
              `sum by (outcome) (increase(mirumoji_step_attempts_total{${STATED}}[$__rate_interval]))`,
              "{{outcome}}",
            ],
          ],
          isStacked: true,
          width: 12,
        }),
        lines({
          title: "Resumes",
          description: "Jobs that went on from their checkpoint, by the state that they went on in.",
          unit: "short",
          queries: [
            [
              `sum by (state) (increase(mirumoji_jobs_resumed_total{${STATED}}[$__rate_interval]))`,
              "{{state}}",
            ],
          ],
          isStacked: true,
          width: 12,
        }),
        lines({
          title: "Handed over",
          description: "Jobs that stopping workers gave back; each one is resumed elsewhere.",
          unit: "short",
          queries: [
            [
              `sum by (state) (increase(mirumoji_jobs_handed_over_total{${STATED}}[$__rate_interval]))`,
              "{{state}}",
            ],
          ],
          isStacked: true,
          width: 12,
        }),
      ],
    },
  ],
});
