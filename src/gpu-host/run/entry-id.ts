/** IDs of entries in a growing list, such as `1750000000000-12`: milliseconds and a number. Clients ask for later ones. */

/** Makes IDs that grow, also over a restart of the host. */
export class EntryIds {
  readonly #now: () => number;
  #count = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  next(): string {
    this.#count += 1;
    return `${this.#now()}-${this.#count}`;
  }
}

export function isLater(id: string, than: string): boolean {
  return compareEntryIds(id, than) > 0;
}

export function compareEntryIds(left: string, right: string): number {
  const [at = 0, number = 0] = left.split("-").map(Number);
  const [otherAt = 0, otherNumber = 0] = right.split("-").map(Number);
  return at === otherAt ? number - otherNumber : at - otherAt;
}
