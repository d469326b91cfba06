import { createHash } from 'node:crypto';
import { caseNumber } from './domain/case-number.ts';
import type { Incident } from './domain/incident.ts';
import { DEFAULT_POLICY } from './domain/policy.ts';
import { GEOFEED_HOST } from './domain/registry.ts';
import type { Mode } from './domain/types.ts';
import { BouncerError } from './errors.ts';
import { type EvidenceDeps, gatherEvidence } from './evidence.ts';
import { RegistryClient } from './geo/registry/lookup.ts';
import { memoryRegistryCache } from './geo/registry/memory-cache.ts';
import type { Transport } from './geo/registry/transport.ts';
import { defaultLog, safeUser } from './log.ts';
import { openNotifier } from './notify.ts';
import type { Clock, Log, RegistryLookup } from './ports.ts';
import { startRegistryConsumer } from './queue/registry-queue.ts';
import { redisBaselines } from './redis/baselines.ts';
import { openWorkerRedis, type RedisTarget } from './redis/connection.ts';
import { redisCounters } from './redis/counters.ts';
import { redisIncidents } from './redis/incidents.ts';
import { keysFor, REGISTRY_QUEUE } from './redis/keys.ts';
import { redisLists, watchLists } from './redis/lists.ts';
import { redisRegistryCache } from './redis/registry-cache.ts';
import { redisRegistryFindings } from './redis/registry-findings.ts';
import { redisSetAside } from './redis/set-aside.ts';
import { Releasers } from './release.ts';

const DAY_MS = 86_400_000;

export interface RegistryWorkerOptions {
  /** As the login worker's. */
  readonly redis: RedisTarget;
  /** As the login worker's. Default `bouncer`. */
  readonly prefix?: string | undefined;
  /** What stands on an incident that comes of it. Nothing is ever revoked here. Default `enforce`. */
  readonly mode?: Mode | undefined;
  /** As the login worker's: an address that a database flags may only then get a country. Default `flag`. */
  readonly anonymousNetwork?: 'allow' | 'flag' | undefined;
  /** As the login worker's. Default 180 and 365 days. */
  readonly baselineTtlDays?: number | undefined;
  readonly incidentTtlDays?: number | undefined;
  /**
   * Hosts of geofeeds that you trust, e.g. your users' cloud: a row of theirs needs nobody to bear it out. Never a host where
   * anybody may put a file. Default none.
   */
  readonly geofeeds?: readonly string[] | undefined;
  /** Jobs in hand at the same time. Default 4. */
  readonly concurrency?: number | undefined;
  readonly log?: Log | undefined;
  readonly clock?: Clock | undefined;
  /** For tests: leads the registries' hosts to servers of the test's own. */
  readonly transport?: Transport | undefined;
}

export interface RegistryWorker extends RegistryLookup {
  /** Takes no new job, finishes those in hand, releases everything. With `force` it does not wait for them. */
  close(options?: { force?: boolean }): Promise<void>;
  isRunning(): boolean;
}

/**
 * Starts a worker that asks the registries about logins that were disputed or had no country. It does nothing unless login
 * workers run with `registry: { enabled: true }`. Run one: what each registry allows is counted per process.
 */
export function createRegistryWorker(options: RegistryWorkerOptions): RegistryWorker {
  const trustedGeofeeds = hostsOf(options.geofeeds ?? []);
  const log = options.log ?? defaultLog('info');
  const clock = options.clock ?? Date.now;
  const releasers = new Releasers(log);
  const keys = keysFor(options.prefix ?? 'bouncer');
  const redis = openWorkerRedis(options.redis, log);
  releasers.add('redis', () => redis.disconnect());
  const baselineTtlMs = (options.baselineTtlDays ?? 180) * DAY_MS;
  const incidentTtlMs = (options.incidentTtlDays ?? 365) * DAY_MS;
  const notifier = openNotifier(redis, keys, log);
  releasers.add('notifier', () => notifier.close());
  const { transport, anonymousNetwork = DEFAULT_POLICY.anonymousNetwork } = options;
  const lookup = new RegistryClient({
    cache: redisRegistryCache(redis, keys),
    log,
    clock,
    transport,
  });
  const deps: EvidenceDeps = {
    lookup,
    incidents: redisIncidents(redis, keys, incidentTtlMs),
    findings: redisRegistryFindings(redis, keys, incidentTtlMs),
    baselines: redisBaselines(redis, keys, baselineTtlMs, log),
    counters: redisCounters(redis, keys),
    policy: { ...DEFAULT_POLICY, baselineTtlMs, anonymousNetwork },
    mode: options.mode ?? 'enforce',
    trustedGeofeeds,
    lists: watchLists(redisLists(redis, keys), { clock, log }),
    clock,
    caseOf: (lid) => caseNumber(createHash('sha256').update(`case:${lid}`).digest()),
    onIncident: (incident) => {
      logIncident(log, incident);
      void notifier.tell({ event: 'incident.recorded', caseId: incident.id, atMs: incident.decidedAtMs });
    },
  };
  const names = { queue: REGISTRY_QUEUE, prefix: keys.queuePrefix };
  const consumer = startRegistryConsumer(redis, names, {
    handle: (jobId, asks, sinceMs) => gatherEvidence(jobId, asks, sinceMs, deps),
    setAside: redisSetAside(redis, keys),
    log,
    clock,
    concurrency: options.concurrency ?? 4,
  });
  let force = false;
  releasers.add('consumer', () => consumer.close(force));
  log.info({ event: 'registry_worker_started' }, 'The registry worker is running');
  return {
    lookup: (address, sinceMs) => lookup.lookup(address, sinceMs),
    close: (how) => {
      force = how?.force ?? false;
      return releasers.run();
    },
    isRunning: () => consumer.isRunning(),
  };
}

function hostsOf(geofeeds: readonly string[]): ReadonlySet<string> {
  if (!Array.isArray(geofeeds) || !geofeeds.every((host) => typeof host === 'string'))
    throw new BouncerError('option_invalid', 'geofeeds: give a list of host names such as geo.example.net.');
  const hosts = geofeeds.map((host) => host.toLowerCase());
  const bad = hosts.findIndex((host) => !GEOFEED_HOST.test(host));
  if (bad === -1) return new Set(hosts);
  throw new BouncerError('option_invalid', `geofeeds: entry ${bad + 1} is no host name such as geo.example.net.`);
}

/** Asks without Redis and without a queue: for `locate --registry`. What is learned is forgotten with it. */
export function openRegistryLookup(options: Pick<RegistryWorkerOptions, 'log' | 'clock' | 'transport'> = {}) {
  const clock = options.clock ?? Date.now;
  const log = options.log ?? defaultLog('warn');
  return new RegistryClient({ cache: memoryRegistryCache(clock), log, clock, transport: options.transport });
}

function logIncident(log: Log, incident: Incident): void {
  const { id, userId, action, reason, mode, sighting } = incident;
  const seen = sighting.kind === 'located' ? sighting.candidates : [];
  log.warn(
    { event: 'incident', case: id, user: safeUser(userId), action, reason, mode, seen },
    'A login did not match its user, as the geofeed of its address says',
  );
}
