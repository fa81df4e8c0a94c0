/** A line of the job's log in Redis: when, and what. Bull Board and the job page show them as a timeline. */
export function logLine(now: number, words: string): string {
  return `${new Date(now).toISOString()} ${words}`;
}
