/** Times as people read them: UTC, because logs and other machines are. */

/** e.g. `2026-01-31 23:59` */
export function minute(atMs: number): string {
  return iso(atMs).slice(0, 16).replace('T', ' ');
}

/** e.g. `2026-01-31 23:59:58.123` */
export function instant(atMs: number): string {
  return iso(atMs).replace('T', ' ').replace('Z', '');
}

/** e.g. `2026-01-31` */
export function day(atMs: number): string {
  return iso(atMs).slice(0, 10);
}

function iso(atMs: number): string {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? '?' : date.toISOString();
}

/** e.g. `950 ms`, `12 s`, `5 min`, `3 h`, `2 d`; whole units, rounded down. */
export function span(ms: number): string {
  const units = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1000, 's'],
  ] as const;
  const [size, name] = units.find(([size]) => Math.abs(ms) >= size) ?? [1, 'ms'];
  return `${Math.trunc(ms / size)} ${name}`;
}
