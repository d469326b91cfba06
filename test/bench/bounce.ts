/**
 * `bounce`: how long a thief stays in. 1,000 logins a second, one of a hundred from another country; its holder polls.
 * Measured from the call of `reportLogin` to the end of the first refused request (so a poll's own way is included). The
 * peer is a hand-written BullMQ worker with DEL, and a stock express-session app; each side in turn, the other idle.
 */
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { startRedis } from '../../examples/support/private-redis.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import type { BounceWebApi, Reported } from './roles/bounce-web.ts';
import type { BounceWorkerApi } from './roles/bounce-worker.ts';
import type { PollerApi } from './roles/poller.ts';
import { judge, type Seen, summarise, writtenTimes } from './support/bounce-stats.ts';
import { type Child, start } from './support/child.ts';
import { findPlaces } from './support/logins.ts';
import { redisVersion } from './support/redis-stats.ts';
import { type BenchOptions, type BenchResult, machine, scaled } from './support/report.ts';
import { monotonicMs, type Plan, thieves } from './support/schedule.ts';
import { alternate, short } from './support/stats.ts';

const USERS = 20_000;
const SECONDS = 15;
const PER_SECOND = 1000;
const THIEF_EVERY = 100;
const ROUNDS = 3;

interface Side {
  readonly name: 'ours' | 'peer';
  readonly web: Child<BounceWebApi>;
  readonly worker: Child<BounceWorkerApi>;
  readonly poller: Child<PollerApi>;
  readonly queue: Queue;
  readonly port: number;
}

export async function bounce(options: BenchOptions): Promise<BenchResult> {
  const server = await startRedis();
  const redis = new Redis(server.url, { replyMapping: 'legacy' });
  const poller = start<PollerApi>('poller', server.dir);
  const children: { stop(): Promise<void> }[] = [poller];
  const open = async (name: Side['name'], queue: Queue): Promise<Side> => {
    const web = start<BounceWebApi>('bounce-web', server.dir, `web-${name}`);
    const worker = start<BounceWorkerApi>('bounce-worker', server.dir, `worker-${name}`);
    children.push(web, worker);
    const port = await web.call('listen', name, server.url, await findPlaces(), scaled(USERS, options));
    await worker.call('start', name, server.url);
    const side: Side = { name, web, worker, poller, queue, port };
    options.say(`${name}: first logins ...`);
    await web.call('firstLogins');
    await settled(side);
    return side;
  };
  const queues = [
    new Queue(LOGIN_QUEUE, { connection: redis, prefix: keysFor('bouncer').queuePrefix, skipMetasUpdate: true }),
    new Queue('peer', { connection: redis }),
  ] as const;
  try {
    const ours = await open('ours', queues[0]);
    const peer = await open('peer', queues[1]);
    return await measure(ours, peer, redis, options);
  } finally {
    await Promise.all(children.map((child) => child.stop()));
    await Promise.all(queues.map((queue) => queue.close()));
    redis.disconnect();
    await server.stop();
  }
}

async function measure(ours: Side, peer: Side, redis: Redis, options: BenchOptions): Promise<BenchResult> {
  const run = (side: Side) => async (round: number) => {
    const seen = await oneRound(side, redis, options);
    const { p50, p99, servedAfterTombstone } = summarise(seen);
    options.say(`round ${round + 1}: ${side.name} p50 ${p50} ms, p99 ${p99} ms, served after: ${servedAfterTombstone}`);
    return seen;
  };
  const pairs = await alternate(options.rounds ?? ROUNDS, run(ours), run(peer));
  const all = {
    ours: summarise(pairs.flatMap((pair) => pair.ours)),
    peer: summarise(pairs.flatMap((pair) => pair.peer)),
  };
  return {
    bench: 'bounce',
    ours: all.ours.p99,
    peer: all.peer.p99,
    ratio: short(all.peer.p99 / all.ours.p99),
    unit: 'ms from reportLogin to the end of the first refused request, p99 of all rounds together',
    p50: all.ours.p50,
    p99: all.ours.p99,
    peerP50: all.peer.p50,
    peerP99: all.peer.p99,
    servedAfterTombstone: all.ours.servedAfterTombstone,
    peerServedAfterDel: all.peer.servedAfterTombstone,
    servedWhileWriting: all.ours.servedWhileWriting,
    neverRefused: { ours: all.ours.neverRefused, peer: all.peer.neverRefused },
    thieves: { ours: all.ours.thieves, peer: all.peer.thieves },
    requests: { ours: all.ours.requests, peer: all.peer.requests },
    counting:
      "servedAfterTombstone: requests let through that began after the worker had Redis's answer to the revoke. " +
      'servedWhileWriting: those that began between the time in the tombstone (set just before it is sent) and that answer.',
    load: `${PER_SECOND} logins/s for ${SECONDS} s a round and side, 1 of ${THIEF_EVERY} from another country`,
    peerIs:
      'BullMQ queue.add per login, hand-written worker (maxmind, HGET, HSET, DEL), express-session + connect-redis 9',
    rounds: pairs.map((pair) => ({ ours: brief(pair.ours), peer: brief(pair.peer) })),
    strain: { ours: await ours.web.call('strain'), peer: await peer.web.call('strain') },
    machine: machine(await redisVersion(redis)),
  };
}

function brief(seen: readonly Seen[]): [p50: number, p99: number] {
  const { p50, p99 } = summarise(seen);
  return [p50, p99];
}

async function oneRound(side: Side, redis: Redis, options: BenchOptions): Promise<Seen[]> {
  const { web, worker, poller } = side;
  const shape = {
    seconds: Math.max(2, Math.round(SECONDS * options.scale)),
    perSecond: PER_SECOND,
    thiefEvery: THIEF_EVERY,
  };
  await poller.call('open', side.port, thieves(shape));
  await worker.call('ended');
  const plan: Plan = { ...shape, startMs: monotonicMs() + 500 };
  const [reported, polled] = await Promise.all([web.call('run', plan), poller.call('run', plan)]);
  await settled(side);
  const tombstones = side.name === 'ours' ? await tombstoneTimes(redis, reported) : null;
  return judge(reported, polled, writtenTimes(reported, await worker.call('ended'), tombstones));
}

/** By session id: the time that the worker wrote into the tombstone, wall clock. */
async function tombstoneTimes(redis: Redis, reported: readonly Reported[]): Promise<Map<string, number>> {
  const keys = keysFor('bouncer');
  const values = await redis.mget(reported.map(({ sessionId }) => keys.session(sessionHandle(sessionId))));
  return new Map(
    reported.flatMap(({ sessionId }, index) => {
      const at = /^\{"__bouncer":\{"k":"revoked","at":(\d+)/.exec(values[index] ?? '')?.[1];
      return at === undefined ? [] : [[sessionId, Number(at)] as const];
    }),
  );
}

/** Nothing waits and nothing is in hand. */
async function settled({ queue }: Side): Promise<void> {
  for (;;) {
    const counts = await queue.getJobCounts('wait', 'active', 'delayed');
    if (Object.values(counts).every((count) => count === 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
