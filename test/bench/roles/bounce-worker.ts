/** The two workers of the `bounce` bench. Both say when a session's end had certainly been written. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createRequire } from 'node:module';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { type CountryResponse, open } from 'maxmind';
import { createWorker } from '../../../src/worker.ts';
import { serve } from '../support/child.ts';
import { monotonicMs } from '../support/schedule.ts';

export interface Ended {
  /** Which one: the time that stands in our tombstones, or the peer's session id. */
  readonly key: string;
  /** The worker had Redis's answer: from now on the session is over. Monotonic milliseconds. */
  readonly confirmedMs: number;
  /** Monotonic minus wall clock, to place the time that stands in a tombstone. */
  readonly offsetMs: number;
}

export interface BounceWorkerApi {
  start(kind: 'ours' | 'peer', url: string): Promise<void>;
  /** Since the last time this was asked. */
  ended(): Ended[];
}

let ended: Ended[] = [];
let close: () => Promise<void> = async () => {};

function noteEnd(key: string): void {
  const confirmedMs = monotonicMs();
  ended.push({ key, confirmedMs, offsetMs: confirmedMs - Date.now() });
}

/** Batches overlap: the times that a batch reads, one of which it writes into its tombstones, go with it to its answer. */
const readTimes = new AsyncLocalStorage<Set<number>>();

async function ours(url: string): Promise<void> {
  const worker = await createWorker({
    redis: url,
    // Everybody here is a thief: the brake is asked as always, and lets them all be ended.
    brake: { share: 1, minLogins: 1e6 },
    clock: () => {
      const nowMs = Date.now();
      readTimes.getStore()?.add(nowMs);
      return nowMs;
    },
    afterEffect: (effect) => {
      if (effect === 'load') readTimes.enterWith(new Set());
      if (effect === 'revoke') for (const atMs of readTimes.getStore() ?? []) noteEnd(String(atMs));
    },
  });
  close = () => worker.close({ force: true });
}

interface PeerLogin {
  readonly userId: string;
  readonly address: string;
  readonly sessionId: string;
}

/** What many would write: one database, one field a user, DEL of the session's key. */
async function peer(url: string): Promise<void> {
  const file = '@ip-location-db/geolite2-country-mmdb/geolite2-country.mmdb';
  const reader = await open<CountryResponse>(createRequire(import.meta.url).resolve(file));
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  const check = async ({ userId, address, sessionId }: PeerLogin) => {
    const country = (reader.get(address) as { country_code?: string } | null)?.country_code;
    if (country === undefined) return;
    const known = await redis.hget('peer:countries', userId);
    if (known !== null && known !== country) {
      await redis.del(`sess:${sessionId}`);
      noteEnd(sessionId);
    } else await redis.hset('peer:countries', userId, country);
  };
  const worker = new Worker<PeerLogin>('peer', (job) => check(job.data), { connection: redis, concurrency: 50 });
  close = async () => {
    await worker.close(true);
    redis.disconnect();
  };
}

serve<BounceWorkerApi>(
  {
    start: (kind, url) => (kind === 'ours' ? ours(url) : peer(url)),
    ended() {
      const all = ended;
      ended = [];
      return all;
    },
  },
  () => close(),
);
