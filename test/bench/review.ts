/**
 * `review`: what a page of the queue costs with a million incidents on record, against the same with a thousand. Two servers of the
 * bench's own, the store's own code, one connection; each question is asked of both in turn, of other users and addresses
 * each time. `ratio` is the worst of: first page, filter by user, filter by address.
 */
import { Redis } from 'ioredis';
import { startRedis } from '../../examples/support/private-redis.ts';
import type { IncidentQuery } from '../../src/desk-ports.ts';
import { type IncidentStore, redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { addressOf, KEEP_MS, seedIncidents, userOf } from './support/incidents.ts';
import { redisVersion } from './support/redis-stats.ts';
import { type BenchOptions, machine, type Report, scaled } from './support/report.ts';
import { alternate, median, medians, type Pair, random, raw, short } from './support/stats.ts';

const FEW = 1000;
const MANY = 1_000_000;
const PAGE = 50;
const ROUNDS = 15;
const ASKED_PER_ROUND = 60;

interface Side {
  readonly count: number;
  readonly redis: Redis;
  readonly store: IncidentStore;
  readonly newestMs: number;
  stop(): Promise<void>;
}

type Question = (i: number, side: Side) => IncidentQuery;

/** Those that the ratio is the worst of. */
const SINGLE: Readonly<Record<string, Question>> = {
  firstPage: () => ({}),
  byUser: (i) => ({ userId: userOf(i) }),
  byAddress: (i) => ({ address: addressOf(i) }),
};

const MORE: Readonly<Record<string, Question>> = {
  open: () => ({ status: 'open' }),
  byNetwork: (i) => ({ network: addressOf(i).replace(/\.\d+$/, '.0/24') }),
  byCountry: () => ({ country: 'JP' }),
  byReason: () => ({ reason: 'country_disputed' }),
  byAction: () => ({ action: 'revoke' }),
  byDay: (_, { newestMs }) => ({ fromMs: newestMs - 86_400_000, toMs: newestMs - 3_600_000 }),
  openFlagsOfCountry: () => ({ status: 'open', action: 'flag', country: 'BR' }),
  openOfUser: (i) => ({ status: 'open', userId: userOf(i) }),
  // Bounded, not fast: there is none, so each page looks at all the rows that it may.
  userAndCountryThatNeverMeet: () => ({ status: 'safe', reason: 'country_disputed', country: 'JP' }),
};

async function open(count: number, say: BenchOptions['say']): Promise<Side> {
  const server = await startRedis();
  const redis = new Redis(server.url, { replyMapping: 'legacy' });
  const keys = keysFor('review');
  const newestMs = Date.now();
  const startMs = performance.now();
  await seedIncidents(redis, keys, count, newestMs);
  const [, bytes = '0'] = /^used_memory:(\d+)/m.exec(await redis.info('memory')) ?? [];
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  say(`${count} incidents on record in ${seconds} s, ${Math.round(Number(bytes) / 1e6)} MB`);
  const stop = async () => {
    redis.disconnect();
    await server.stop();
  };
  return { count, redis, newestMs, store: redisIncidents(redis, keys, KEEP_MS), stop };
}

export async function review(options: BenchOptions): Promise<Report> {
  const few = await open(FEW, options.say);
  const many = await open(Math.max(FEW, scaled(MANY, options)), options.say);
  try {
    const single = await compare(SINGLE, few, many, options);
    const more = await compare(MORE, few, many, options);
    const ratios = Object.values(single).map(({ ratio }) => ratio);
    return {
      bench: 'review',
      ratio: Math.max(...ratios),
      unit: `milliseconds for a page of ${PAGE}, median; ratio: many / few, the worst of ${Object.keys(single)}`,
      few: few.count,
      many: many.count,
      ...single,
      more,
      machine: machine(await redisVersion(many.redis)),
    };
  } finally {
    await few.stop();
    await many.stop();
  }
}

async function compare(questions: Readonly<Record<string, Question>>, few: Side, many: Side, options: BenchOptions) {
  const results: Record<string, { few: number; many: number; ratio: number; rounds: [number, number][] }> = {};
  for (const [name, question] of Object.entries(questions)) {
    const next = random(7);
    await askBoth(question, few, many, next);
    const pairs: Pair<number>[] = [];
    for (let round = 0; round < (options.rounds ?? ROUNDS); round++) {
      pairs.push(await askBoth(question, few, many, next));
    }
    const { ours, peer } = medians(pairs);
    const ratio = short(median(pairs.map((pair) => pair.ours / pair.peer)));
    results[name] = { few: short(peer), many: short(ours), ratio, rounds: raw(pairs) };
    options.say(`${name}: ${short(peer)} ms of ${few.count}, ${short(ours)} ms of ${many.count}, ratio ${ratio}`);
  }
  return results;
}

/** Milliseconds of one page of each side, the medians of some: asked one by one in turn, so that a busy moment meets both. */
async function askBoth(question: Question, few: Side, many: Side, next: () => number): Promise<Pair<number>> {
  const times = await alternate(
    ASKED_PER_ROUND,
    () => askOnce(question, many, next),
    () => askOnce(question, few, next),
  );
  return medians(times);
}

async function askOnce(question: Question, side: Side, next: () => number): Promise<number> {
  const query = question(Math.floor(next() * side.count), side);
  const startMs = performance.now();
  await side.store.list(query, PAGE, null);
  return performance.now() - startMs;
}
