/** Buckets for media jobs, which take minutes and hours; the usual buckets stop at 10 s. */
export const LONG_SECONDS = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 14_400];

/** Buckets for events that should take about a second. */
export const SHORT_SECONDS = [0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 120];

/** Buckets for requests and long polls, which Modal ends after 55 s. */
export const RPC_SECONDS = [0.005, 0.02, 0.1, 0.5, 1, 5, 15, 60];
