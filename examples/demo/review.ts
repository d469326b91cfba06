/** What the story (`--once`) asks: the totals and the newest incidents, as JSON. People look at the review desk. */
import { Redis } from 'ioredis';
import type { IncidentRecord } from '../../src/domain/incident.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';

export interface ReviewState {
  /** Running totals, e.g. `logins`, `action:allow`, `reason:same_country`. */
  readonly counters: Readonly<Record<string, number>>;
  /** Newest first. */
  readonly incidents: readonly IncidentRecord[];
}

export interface Review {
  read(): Promise<ReviewState>;
  close(): void;
}

const SHOWN = 20;

export function openReview(url: string, prefix: string): Review {
  const redis = new Redis(url, { maxRetriesPerRequest: 1, replyMapping: 'legacy' });
  // One failed command is one failed page; the page says so.
  redis.on('error', () => {});
  const keys = keysFor(prefix);
  const incidents = redisIncidents(redis, keys, 0);
  const counters = redisCounters(redis, keys);
  return {
    async read() {
      const [page, totals] = await Promise.all([incidents.list({}, SHOWN), counters.read()]);
      return { counters: totals, incidents: page.incidents };
    },
    close: () => redis.disconnect(),
  };
}
