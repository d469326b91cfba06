/**
 * `ingest`: 2,000 signed logins a second for ten seconds over HTTP, one a request, with the real worker on the same Redis.
 * Fails unless every login that was answered 202 was checked, and each that came from elsewhere has its incident, and no
 * other login has one.
 */
import { randomBytes } from 'node:crypto';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { startRedis } from '../../examples/support/private-redis.ts';
import { caseOf } from '../../src/case-of.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import { redisSetAside } from '../../src/redis/set-aside.ts';
import type { IngestLoadApi, IngestLoadRun } from './roles/ingest-load.ts';
import type { IngestServerApi } from './roles/ingest-server.ts';
import type { WorkerOursApi } from './roles/worker-ours.ts';
import { type Child, start } from './support/child.ts';
import { findPlaces } from './support/logins.ts';
import { redisVersion } from './support/redis-stats.ts';
import { type BenchOptions, machine, type Report, scaled } from './support/report.ts';
import { percentile, short } from './support/stats.ts';

const PREFIX = 'bench';
const USERS = 20_000;
const AWAY_SHARE = 0.01;
const PER_SECOND = 2000;
const SECONDS = 10;

interface Rig {
  readonly url: string;
  readonly redis: Redis;
  readonly queue: Queue;
  readonly server: Child<IngestServerApi>;
  readonly load: Child<IngestLoadApi>;
  readonly worker: Child<WorkerOursApi>;
}

export async function ingest(options: BenchOptions): Promise<Report> {
  const server = await startRedis();
  const redis = new Redis(server.url, { replyMapping: 'legacy' });
  const rig: Rig = {
    url: server.url,
    redis,
    queue: new Queue(LOGIN_QUEUE, { connection: redis, prefix: keysFor(PREFIX).queuePrefix, skipMetasUpdate: true }),
    server: start<IngestServerApi>('ingest-server', server.dir),
    load: start<IngestLoadApi>('ingest-load', server.dir),
    worker: start<WorkerOursApi>('worker-ours', server.dir),
  };
  try {
    return await measure(rig, options);
  } finally {
    await Promise.all([rig.load.stop(), rig.server.stop(), rig.worker.stop()]);
    await rig.queue.close();
    redis.disconnect();
    await server.stop();
  }
}

async function measure(rig: Rig, options: BenchOptions): Promise<Report> {
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const users = scaled(USERS, options);
  const port = await rig.server.call('start', rig.url, PREFIX, secret);
  const places = await findPlaces();
  await rig.load.call('setup', { port, secret, places, users, awayShare: AWAY_SHARE });
  await rig.worker.call('start', rig.url, PREFIX);
  options.say(`first logins of ${users} users, 100 a request ...`);
  const first = await rig.load.call('firstLogins');
  await workedOff(rig);
  await check(rig, first.accepted, first.away);
  const cpuBefore = await rig.server.call('cpuMicros');
  options.say(`${PER_SECOND} logins/s ...`);
  const run = await rig.load.call('run', PER_SECOND, SECONDS * options.scale);
  const cpuMicros = (await rig.server.call('cpuMicros')) - cpuBefore;
  options.say(`answered: ${JSON.stringify(run.statuses)}; waiting for the worker ...`);
  await workedOff(rig);
  await check(rig, first.accepted + run.accepted, run.away);
  return report(run, cpuMicros, await redisVersion(rig.redis));
}

function report(run: IngestLoadRun, cpuMicros: number, redis: string): Report {
  const { sent, accepted, statuses, millis, latenciesMs, away } = run;
  return {
    bench: 'ingest',
    answeredPerSecond: short((1000 * sent) / millis),
    wantedPerSecond: PER_SECOND,
    seconds: short(millis / 1000),
    sent,
    accepted,
    lost: 0,
    incidents: away.length,
    statuses,
    latencyMsP50: short(percentile(latenciesMs, 0.5)),
    latencyMsP99: short(percentile(latenciesMs, 0.99)),
    cpuMicrosPerRequest: short(cpuMicros / sent),
    machine: machine(redis),
  };
}

async function workedOff({ queue }: Rig): Promise<void> {
  for (;;) {
    const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'failed');
    if (counts.failed !== 0) throw new Error(`${counts.failed} jobs failed`);
    if (Object.values(counts).every((count) => count === 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Throws unless exactly these logins were checked, and exactly these have an incident. */
async function check({ redis }: Rig, logins: number, away: readonly string[]): Promise<void> {
  const keys = keysFor(PREFIX);
  const { logins: counted = 0 } = await redisCounters(redis, keys).read();
  const found = await redisIncidents(redis, keys, 1).existing(away.map((lid) => caseOf(lid)));
  const recorded = found.filter((incident) => incident !== null).length;
  const incidents = await redis.zcard(keys.incidentsAll());
  const setAside = await redisSetAside(redis, keys).count();
  if (counted !== logins || recorded !== away.length || incidents !== away.length || setAside !== 0) {
    const seen = JSON.stringify({ counted, recorded, incidents, setAside });
    throw new Error(`${logins} logins were answered 202, ${away.length} from elsewhere, but ${seen}`);
  }
}
