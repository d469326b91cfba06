/** How many logins could not be checked, and why: from the totals that the workers keep. */

export interface Unchecked {
  readonly logins: number;
  readonly total: number;
  /** The most frequent first. */
  readonly whys: readonly (readonly [why: string, count: number])[];
}

export function uncheckedOf(counters: Readonly<Record<string, number>>): Unchecked {
  const whys = Object.entries(counters)
    .filter(([name]) => name.startsWith('why:'))
    .map(([name, count]) => [name.slice(4), count] as const)
    .sort((a, b) => b[1] - a[1]);
  return { logins: counters.logins ?? 0, total: whys.reduce((sum, [, count]) => sum + count, 0), whys };
}

/** e.g. `3 of 100 logins could not be checked: stale_data 2, tunnel 1`. */
export function uncheckedText({ logins, total, whys }: Unchecked): string {
  const list = whys.map(([why, count]) => `${why} ${count}`).join(', ');
  return `${total} of ${logins} logins could not be checked${list === '' ? '' : `: ${list}`}`;
}
