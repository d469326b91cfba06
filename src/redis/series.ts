import type { Redis } from 'ioredis';
import type { CountryCount, Series, SeriesPoint } from '../desk-ports.ts';
import type { Tally } from '../ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const tally = loadScript('tally-5');

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Longer than a job whose worker died waits for another one. */
export const MARK_MS = 600_000;
/** A bucket is written to for an hour or a day, and then kept for as long as anybody may ask for it. */
export const MINUTES_KEPT_MS = DAY_MS + HOUR_MS;
export const HOURS_KEPT_MS = 31 * DAY_MS;

const NONE: ReadonlyMap<string, number> = new Map();

/** Counts per minute for a day, per hour and per country for 30 days. About 800 keys in all, each of which ends by itself. */
export function redisSeries(
  redis: Redis,
  keys: Keys,
): Series & { countries(fromMs: number, toMs: number): Promise<CountryCount[]> } {
  return {
    async add(batchId, atMs, counts) {
      const entries = new Map(Object.entries(counts));
      await addTally(redis, keys, `series:${batchId}`, NONE, { atMs, counts: entries, countries: NONE });
    },
    async read(fromMs, toMs, step) {
      const [stepMs, bucketMs, keptMs] =
        step === 'minute' ? [MINUTE_MS, HOUR_MS, MINUTES_KEPT_MS] : [HOUR_MS, DAY_MS, HOURS_KEPT_MS];
      const buckets = bucketsOf(Math.max(fromMs, toMs - keptMs), toMs, bucketMs);
      const hashes = await hashesAt(
        redis,
        buckets.map((bucket) => (step === 'minute' ? keys.seriesMinutes(bucket) : keys.seriesHours(bucket))),
      );
      const points = hashes.flatMap((hash, i) => pointsOf(hash, (buckets[i] ?? 0) * bucketMs, stepMs));
      return points.filter(({ atMs }) => atMs + stepMs > fromMs && atMs <= toMs);
    },
    async countries(fromMs, toMs) {
      const hours = bucketsOf(Math.max(fromMs, toMs - HOURS_KEPT_MS), toMs, HOUR_MS);
      const hashes = await hashesAt(
        redis,
        hours.map((hour) => keys.seriesCountries(hour)),
      );
      return countriesIn(hashes);
    },
  };
}

/** The totals and the counts over time of one batch, in one step. */
export async function addTally(
  redis: Redis,
  keys: Keys,
  batchId: string,
  totals: ReadonlyMap<string, number>,
  { atMs, counts, countries }: Tally,
): Promise<void> {
  const hour = Math.floor(atMs / HOUR_MS);
  const day = Math.floor(atMs / DAY_MS);
  const where = [keys.counted(batchId), keys.counters(), keys.seriesMinutes(hour)];
  const pairs = [totals, counts, countries].flatMap((each) => [...each].flat().map(String));
  await runScript(
    redis,
    tally,
    [...where, keys.seriesHours(day), keys.seriesCountries(hour)],
    [
      String(MARK_MS),
      String(MINUTES_KEPT_MS),
      String(HOURS_KEPT_MS),
      String(Math.floor((atMs % HOUR_MS) / MINUTE_MS)),
      String(hour % 24),
      String(totals.size),
      String(counts.size),
      ...pairs,
    ],
  );
}

/** The numbers of the buckets that hold these times, oldest first. */
export function bucketsOf(fromMs: number, toMs: number, bucketMs: number): number[] {
  const first = Math.floor(fromMs / bucketMs);
  const count = Math.floor(toMs / bucketMs) - first + 1;
  return Array.from({ length: Math.max(0, count) }, (_, i) => first + i);
}

async function hashesAt(redis: Redis, where: readonly string[]): Promise<Record<string, string>[]> {
  if (where.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const key of where) pipeline.hgetall(key);
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, hash]) => {
    if (error) throw error;
    return hash as Record<string, string>;
  });
}

/** Fields are `<minute or hour>:<name>`. Oldest first. */
function pointsOf(hash: Readonly<Record<string, string>>, startMs: number, stepMs: number): SeriesPoint[] {
  const byStep = new Map<number, Record<string, number>>();
  for (const [field, count] of Object.entries(hash)) {
    const at = field.indexOf(':');
    const step = Number(field.slice(0, at));
    const counts = byStep.get(step) ?? {};
    counts[field.slice(at + 1)] = Number(count);
    byStep.set(step, counts);
  }
  return [...byStep].sort(([a], [b]) => a - b).map(([step, counts]) => ({ atMs: startMs + step * stepMs, counts }));
}

type Mutable = { -readonly [name in keyof CountryCount]: CountryCount[name] };

/** Fields are `<country>:<name>`. The busiest country first. */
function countriesIn(hashes: readonly Readonly<Record<string, string>>[]): CountryCount[] {
  const found = new Map<string, Mutable>();
  for (const [field, count] of hashes.flatMap((hash) => Object.entries(hash))) {
    const [country = '', name] = field.split(':');
    const sum = found.get(country) ?? { country, checked: 0, flagged: 0, revoked: 0 };
    if (name === 'checked' || name === 'flagged' || name === 'revoked') sum[name] += Number(count);
    if (name === 'would_revoke') sum.wouldRevoke = (sum.wouldRevoke ?? 0) + Number(count);
    found.set(country, sum);
  }
  return [...found.values()].sort((a, b) => b.checked - a.checked || (a.country < b.country ? -1 : 1));
}
