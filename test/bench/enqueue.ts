/**
 * `enqueue`: what it costs an app to report logins. Throughput with 64 in flight, `reportLogin` against a plain
 * `queue.add` per login; and the time of a lone report against a lone add. All in this one process, in turn.
 */
import { randomBytes } from 'node:crypto';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { startRedis } from '../../examples/support/private-redis.ts';
import { type Bouncer, createBouncer } from '../../src/index.ts';
import { JOB_OPTIONS } from '../../src/queue/login-queue.ts';
import { type BenchLogin, Crowd, findPlaces } from './support/logins.ts';
import { redisVersion } from './support/redis-stats.ts';
import { type BenchOptions, type BenchResult, machine, scaled } from './support/report.ts';
import { alternate, median, medians, type Pair, percentile, raw, short } from './support/stats.ts';

const IN_FLIGHT = 64;
const LOGINS = 30_000;
const ROUNDS = 11;
const WARM_UP = 3;
const LONE_PAIRS = 4000;

/** A login as the app has it when the user has authenticated. */
interface Ready extends BenchLogin {
  readonly sessionId: string;
}

/** Resolves when this login is durably queued. */
type Side = (login: Ready) => Promise<unknown>;

interface Sides {
  readonly ours: Side;
  readonly peer: Side;
}

export async function enqueue(options: BenchOptions): Promise<BenchResult> {
  const server = await startRedis();
  const redis = new Redis(server.url, { replyMapping: 'legacy' });
  const bouncer = createBouncer({ redis: server.url, enqueueTimeoutMs: 60_000 });
  const peerRedis = new Redis(server.url, { maxRetriesPerRequest: null });
  const queue = new Queue('peer', { connection: peerRedis });
  try {
    return await measure({ ours: reporter(bouncer), peer: adder(queue) }, redis, options);
  } finally {
    await bouncer.close();
    await queue.close();
    for (const client of [peerRedis, redis]) client.disconnect();
    await server.stop();
  }
}

function reporter(bouncer: Bouncer): Side {
  return async ({ userId, address, userAgent, sessionId }) => {
    const { status } = await bouncer.reportLogin({ userId, address, userAgent, sessionId });
    if (status !== 'queued') throw new Error(`a login was not queued: ${status}`);
  };
}

/** What a developer would write by hand, under the same job options as ours; it hashes nothing and checks nothing. */
function adder(queue: Queue): Side {
  return ({ userId, address, userAgent, sessionId }) =>
    queue.add('login', { userId, address, userAgent, sessionId, loginAtMs: Date.now() }, JOB_OPTIONS);
}

/** Made before the clock runs: an app has its session ids from elsewhere. */
async function readyLogins(count: number): Promise<Ready[]> {
  const crowd = new Crowd(await findPlaces(), 20_000, 0.01, 3);
  return Array.from({ length: count }, () => ({
    ...crowd.next(),
    sessionId: randomBytes(24).toString('base64url'),
  }));
}

async function measure(sides: Sides, redis: Redis, options: BenchOptions): Promise<BenchResult> {
  const logins = await readyLogins(scaled(LOGINS, options));
  const run = (name: keyof Sides) => async (round: number) => {
    const perSecond = await throughput(sides[name], logins);
    options.say(`round ${round + 1}: ${name} ${Math.round(perSecond)} logins/s`);
    await redis.flushdb(); // what is queued must not pile up; scripts stay loaded
    return perSecond;
  };
  options.say('warming up both ...');
  await alternate(WARM_UP, run('ours'), run('peer'));
  const pairs = await alternate(options.rounds ?? ROUNDS, run('ours'), run('peer'));
  const alone = await lone(sides, logins.slice(0, scaled(LONE_PAIRS, options)));
  const { ours, peer } = medians(pairs);
  const p50 = (part: keyof Sides) =>
    percentile(
      alone.map((pair) => pair[part]),
      0.5,
    );
  return {
    bench: 'enqueue',
    ours: short(ours),
    peer: short(peer),
    ratio: short(median(pairs.map((pair) => pair.ours / pair.peer))),
    unit: 'logins/s, median',
    inFlight: IN_FLIGHT,
    loneMicrosP50: short(p50('ours')),
    peerLoneMicrosP50: short(p50('peer')),
    loneRatio: short(p50('ours') / p50('peer')),
    lonePairs: alone.length,
    peerIs: 'BullMQ queue.add per login, on an ioredis connection of its own, same job options',
    loginsPerRound: logins.length,
    rounds: raw(pairs),
    machine: machine(await redisVersion(redis)),
  };
}

async function throughput(side: Side, logins: readonly Ready[]): Promise<number> {
  const left = logins.values();
  const one = async () => {
    for (const login of left) await side(login);
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: IN_FLIGHT }, one));
  return (1000 * logins.length) / (performance.now() - startMs);
}

/** One at a time, each side in turn, microseconds. */
async function lone(sides: Sides, logins: readonly Ready[]): Promise<Pair<number>[]> {
  const timed = (side: Side) => async (index: number) => {
    const startMs = performance.now();
    await side(logins[index] as Ready);
    return 1000 * (performance.now() - startMs);
  };
  return alternate(logins.length, timed(sides.ours), timed(sides.peer));
}
