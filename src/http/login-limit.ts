const WINDOW_MS = 60_000;
/** Wrong logins in a window: of one address, and of all together, for an attacker may have many addresses. */
const PER_ADDRESS = 10;
const IN_ALL = 100;

/** Slows down whoever guesses passwords. */
export interface LoginLimit {
  /** How long no further guess from this address is looked at, in milliseconds; 0 when it is. */
  blockedMs(address: string): number;
  /** Counts a wrong login. */
  refused(address: string): void;
}

/** Counts wrong logins in windows of a minute. `now` is in milliseconds, of any clock that never goes back. */
export function loginLimit(now: () => number): LoginLimit {
  /** At most `IN_ALL` addresses: nobody is looked at any more after so many wrong logins. */
  let byAddress = new Map<string, number>();
  let inAll = 0;
  let endsAt = 0;
  const turn = (): void => {
    if (now() < endsAt) return;
    endsAt = now() + WINDOW_MS;
    byAddress = new Map();
    inAll = 0;
  };
  return {
    blockedMs(address) {
      turn();
      return inAll >= IN_ALL || (byAddress.get(address) ?? 0) >= PER_ADDRESS ? endsAt - now() : 0;
    },
    refused(address) {
      turn();
      inAll += 1;
      byAddress.set(address, (byAddress.get(address) ?? 0) + 1);
    },
  };
}
