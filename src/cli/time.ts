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
