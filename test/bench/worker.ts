/**
 * `worker`: logins per second through the real worker with all its effects, against an empty BullMQ worker that takes
 * one login per job. Each side is one process; both live through all rounds, on the same Redis, with their jobs queued
 * before. The clock runs from the first completed job to the last.
 */
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { startRedis } from '../../examples/support/private-redis.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import type { ProducerApi, Reported } from './roles/producer.ts';
import type { WorkerOursApi } from './roles/worker-ours.ts';
import type { PeerRun, WorkerPeerApi } from './roles/worker-peer.ts';
import { type Child, start } from './support/child.ts';
import { Effects } from './support/effects.ts';
import { findPlaces, type Places } from './support/logins.ts';
import { redisVersion } from './support/redis-stats.ts';
import { type BenchOptions, type BenchResult, machine, scaled } from './support/report.ts';
import { alternate, median, medians, pick, raw, short } from './support/stats.ts';

const PREFIX = 'bench';
const USERS = 20_000;
const AWAY_SHARE = 0.01;
const LOGINS = 100_000;
const PEER_JOBS = 30_000;
const ROUNDS = 7;
const IN_FLIGHT = 200;
const PEER_CONCURRENCY = [10, 25, 50, 100, 200, 400];

interface Rig {
  readonly url: string;
  readonly redis: Redis;
  readonly places: Places;
  readonly producer: Child<ProducerApi>;
  readonly ours: Child<WorkerOursApi>;
  readonly peer: Child<WorkerPeerApi>;
  readonly queue: Queue;
  readonly effects: Effects;
}

interface Run {
  readonly perSecond: number;
  readonly cpuMicrosPerLogin: number;
  readonly loginsPerJob: number;
}

export async function worker(options: BenchOptions): Promise<BenchResult> {
  const server = await startRedis();
  const redis = new Redis(server.url, { replyMapping: 'legacy' });
  const rig: Rig = {
    url: server.url,
    redis,
    places: await findPlaces(),
    producer: start<ProducerApi>('producer', server.dir),
    ours: start<WorkerOursApi>('worker-ours', server.dir),
    peer: start<WorkerPeerApi>('worker-peer', server.dir),
    queue: new Queue(LOGIN_QUEUE, { connection: redis, prefix: keysFor(PREFIX).queuePrefix, skipMetasUpdate: true }),
    effects: new Effects(redis, keysFor(PREFIX)),
  };
  try {
    return await measure(rig, options);
  } finally {
    await Promise.all([rig.producer.stop(), rig.ours.stop(), rig.peer.stop()]);
    await rig.queue.close();
    redis.disconnect();
    await server.stop();
  }
}

async function measure(rig: Rig, options: BenchOptions): Promise<BenchResult> {
  const users = scaled(USERS, options);
  const logins = scaled(LOGINS, options);
  const { url, places, producer } = rig;
  await producer.call('setup', { url, prefix: PREFIX, places, users, awayShare: AWAY_SHARE });
  options.say(`first logins of ${users} users ...`);
  await workOff(rig, await producer.call('firstLogins', IN_FLIGHT), users);
  const { best, tried } = await bestConcurrency(rig, scaled(PEER_JOBS, options) / 3, options);
  const pairs = await alternate(
    options.rounds ?? ROUNDS,
    async (round) => {
      const run = await workOff(rig, await producer.call('logins', logins, IN_FLIGHT), logins);
      options.say(`round ${round + 1}: ours ${Math.round(run.perSecond)} logins/s`);
      return run;
    },
    async (round) => {
      const run = await peerRun(rig, scaled(PEER_JOBS, options), best);
      options.say(`round ${round + 1}: peer ${Math.round(run.perSecond)} jobs/s`);
      return run;
    },
  );
  const rates = pick(pairs, (run) => run.perSecond);
  const cpu = pick(pairs, (run) => run.cpuMicrosPerLogin);
  const { ours, peer } = medians(rates);
  return {
    bench: 'worker',
    ours: short(ours),
    peer: short(peer),
    ratio: short(median(rates.map((pair) => pair.ours / pair.peer))),
    unit: 'logins/s, median',
    ourCpuMicrosPerLogin: short(medians(cpu).ours),
    peerCpuMicrosPerLogin: short(medians(cpu).peer),
    loginsPerJob: short(median(pairs.map((pair) => pair.ours.loginsPerJob))),
    inFlight: IN_FLIGHT,
    mix: `${users} known users (70 % IPv4, 30 % IPv6) of 10 countries, each login from a random one of 300 networks of its country, ${100 * AWAY_SHARE} % from another country`,
    effects: rig.effects.summary(),
    peerIs: `empty BullMQ worker, one login per job (addBulk), the same job options as ours, the best concurrency of those tried: ${best}`,
    peerTried: tried,
    loginsPerRound: logins,
    rounds: raw(rates),
    machine: machine(await redisVersion(rig.redis)),
  };
}

/** Runs the real worker until nothing is left, and fails unless every effect is there. */
async function workOff(rig: Rig, reported: Reported, logins: number): Promise<Run> {
  const { queue, ours, effects } = rig;
  const jobs = await queue.getWaitingCount();
  await ours.call('start', rig.url, PREFIX);
  for (;;) {
    const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'failed');
    if (Object.values(counts).every((count) => count === 0)) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const cpuMicros = await ours.call('stop');
  const { perSecond } = await effects.completions();
  await effects.check(logins, reported.away);
  return { perSecond, cpuMicrosPerLogin: cpuMicros / logins, loginsPerJob: logins / jobs };
}

async function peerRun({ peer, url, places }: Rig, jobs: number, concurrency: number): Promise<Run> {
  await peer.call('fill', url, jobs, places);
  const run: PeerRun = await peer.call('run', url, jobs, concurrency);
  return { perSecond: run.perSecond, cpuMicrosPerLogin: run.cpuMicros / jobs, loginsPerJob: 1 };
}

async function bestConcurrency(rig: Rig, jobs: number, options: BenchOptions) {
  const count = Math.ceil(jobs);
  await peerRun(rig, count, 50); // warms its code up
  const tried: Record<string, number> = {};
  for (const concurrency of PEER_CONCURRENCY) {
    const runs = [await peerRun(rig, count, concurrency), await peerRun(rig, count, concurrency)];
    tried[concurrency] = Math.round(Math.max(...runs.map((run) => run.perSecond)));
    options.say(`peer with concurrency ${concurrency}: ${tried[concurrency]} jobs/s`);
  }
  const best = Object.entries(tried).sort((a, b) => b[1] - a[1])[0]?.[0];
  return { best: Number(best ?? 50), tried };
}
