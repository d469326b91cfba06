import { resolve } from 'node:path';
import type { Redis } from 'ioredis';
import { Asker } from './asker.ts';
import { caseOf } from './case-of.ts';
import type { Notifier } from './desk-ports.ts';
import { type DetectDeps, detect, type Effect } from './detect.ts';
import { type BrakePolicy, type BrakeTrip, brakePolicy, tripsAtOnce } from './domain/brake.ts';
import type { Incident } from './domain/incident.ts';
import type { WebhookEndpoint } from './domain/notification.ts';
import { DEFAULT_POLICY, type Policy } from './domain/policy.ts';
import type { LoginEvent, Mode } from './domain/types.ts';
import { BouncerError, errorName } from './errors.ts';
import { type Chain, type ChainOptions, openChain, type ReloadOptions } from './geo/chain.ts';
import { checkSourceOptions } from './geo/options.ts';
import { defaultLog, safeUser } from './log.ts';
import { openNotifier } from './notify.ts';
import { checkNotificationOptions, startNotifications, type UserLinkOptions } from './notify-worker.ts';
import { listPhpLogin } from './php/listing.ts';
import type {
  Clock,
  Counters,
  Incidents,
  Locator,
  Log,
  Rechecks,
  RecordedIncident,
  Registry,
  Revocation,
  Sessions,
  Sweeper,
} from './ports.ts';
import { type Consumer, type HandleBatch, startConsumer } from './queue/consumer.ts';
import { RECHECK_DELAYS_MS, recheckQueue, startRechecks } from './queue/rechecks.ts';
import { registryAsks } from './queue/registry-queue.ts';
import { startSweeps } from './queue/sweeps.ts';
import { RecentRevocations, type RecheckDeps, recheck, takeOver } from './recheck.ts';
import { redisAudit } from './redis/audit.ts';
import { redisBaselines } from './redis/baselines.ts';
import { openWorkerRedis, type RedisTarget } from './redis/connection.ts';
import { redisCounters } from './redis/counters.ts';
import { redisSessions } from './redis/ender.ts';
import { redisIncidents } from './redis/incidents.ts';
import { type Keys, keysFor, LOGIN_QUEUE, RECHECK_QUEUE, REGISTRY_QUEUE, SWEEP_QUEUE } from './redis/keys.ts';
import { redisPhpIds } from './redis/php-sessions.ts';
import { redisRegistry } from './redis/registry.ts';
import { onReplicas } from './redis/replicas.ts';
import { redisRetention, retentionTimes } from './redis/retention.ts';
import { watchServer } from './redis/server-change.ts';
import { redisSetAside } from './redis/set-aside.ts';
import { redisStanding } from './redis/standing.ts';
import { redisSweeper, SWEEP_USER_EVERY_MS } from './redis/sweeper.ts';
import { Releasers } from './release.ts';
import { openWorkerDesk } from './worker-desk.ts';
import { checkPhpOptions, openPhpEnding, type PhpEnding, PhpKeysMissing, type PhpOptions } from './worker-php.ts';

/** How often the lists of sessions are cleaned, by default. */
const SWEEP_EVERY_MINUTES = 60;

const DAY_MS = 86_400_000;

export interface WorkerOptions {
  /** A URL, ioredis options, or an ioredis instance (duplicated, never used itself). */
  readonly redis: RedisTarget;
  /** The same as the web tier's. Default `bouncer`. */
  readonly prefix?: string | undefined;
  /** `enforce` (default) ends sessions; `observe` records the same and touches no session. */
  readonly mode?: Mode | undefined;
  /**
   * Paths of `.mmdb` files: country or city ones of two vendors; also anonymous-IP and ASN files. Without any, those in the
   * usual places (`/usr/share/GeoIP` ...); if none opens, the databases that npm ships. They are reloaded when they change.
   */
  readonly databases?: readonly string[] | undefined;
  /** Paths of RFC 8805 CSV files: the operator's own word on networks (VPN exits, offices), certain. Reloaded too. */
  readonly overrides?: readonly string[] | undefined;
  /** Addresses that the operator knows, with their countries: a file that says otherwise, of a family that it has, is refused. */
  readonly canaries?: Readonly<Record<string, string>> | undefined;
  /** How soon changed files are noticed and taken. Default: looked at every 10 seconds, read when still for 5. */
  readonly reload?: ReloadOptions | undefined;
  /** Logins from networks that a database flags (VPN, hosting, anycast) and that are new for the user. Default `flag`. */
  readonly anonymousNetwork?: 'allow' | 'flag' | undefined;
  /** Databases older than this do not decide any more. Default: they only warn. */
  readonly maxDatabaseAgeDays?: number | undefined;
  /** A user's baseline is forgotten after this long without a login. Default 180 days. */
  readonly baselineTtlDays?: number | undefined;
  /** Incidents and their visits are kept this long. Default 365 days. */
  readonly incidentTtlDays?: number | undefined;
  /** Visits of bounced holders are kept this long, within their incident. Default 365 days. */
  readonly visitTtlDays?: number | undefined;
  /** Entries of the audit are kept this long. Default 730 days. */
  readonly auditTtlDays?: number | undefined;
  /** The logins of a user are kept this long for the console. Default 90 days. */
  readonly historyTtlDays?: number | undefined;
  /** How long a revoked session's tombstone stands at least. Default 30 days. */
  readonly tombstoneTtlDays?: number | undefined;
  /** Jobs in hand at the same time; each carries up to 100 logins, or one where traffic is light. Default 8. */
  readonly concurrency?: number | undefined;
  /** How soon another worker takes over the job of one that died. Default 30 seconds. */
  readonly lockDurationSeconds?: number | undefined;
  /** A revocation is not done until this many replicas have it (or all that are connected, if fewer). 0: none. Default 1. */
  readonly waitReplicas?: number | undefined;
  /** How long to wait for them, milliseconds; then the login is tried again. Default 1000. */
  readonly waitReplicasTimeoutMs?: number | undefined;
  /** When each revocation is applied again, milliseconds after it. Default 5 s, 60 s and 10 min. */
  readonly recheckDelaysMs?: readonly number[] | undefined;
  /** How often the lists of sessions are cleaned of those that ended, minutes. Default 60. */
  readonly sweepEveryMinutes?: number | undefined;
  /** A login that cannot be located for want of data is tried again after this, then ever more rarely. Default 60. */
  readonly recheckDelaySeconds?: number | undefined;
  /**
   * Queue the logins that are disputed or have no country for a registry worker (src/registry-worker.ts), which asks the
   * address registries about them. Off by default: it tells the registries which addresses log in here.
   */
  readonly registry?: { readonly enabled: boolean } | undefined;
  /** Who is told of incidents, answers and the brake: see docs/notifications.md. The same in all workers. Default: nobody. */
  readonly webhooks?: readonly WebhookEndpoint[] | undefined;
  /** Webhooks may go to other machines over plain http. Default false. */
  readonly allowHttpWebhooks?: boolean | undefined;
  /** Lets the webhook event `user.question` carry a mail to the user, with a link to the page of `bouncer.userAnswers`. */
  readonly userLinks?: UserLinkOptions | undefined;
  /**
   * The safety brake: where the sessions of too many users would be ended, none is until somebody resets it. What is not
   * given is the default (see BrakePolicy); `false`: no brake.
   */
  readonly brake?: Partial<BrakePolicy> | false | undefined;
  /** Told of each trip of the brake, at least once, by one of the workers that have this. */
  readonly onBrakeTrip?: ((trip: BrakeTrip) => unknown) | undefined;
  /** Ends the sessions of PHP sites, too. Default: none are ended, and a login that asks for it is reported in the log. */
  readonly php?: PhpOptions | undefined;
  /** A pino logger, or anything with its four methods. */
  readonly log?: Log | undefined;
  readonly clock?: Clock | undefined;
  /** For tests: how long a login that failed alone waits the first time, milliseconds. Default 1000. */
  readonly returnDelayMs?: number | undefined;
  /** For tests: see DetectDeps. */
  readonly afterEffect?: ((effect: Effect) => void | Promise<void>) | undefined;
}

export interface LoginWorker {
  readonly locator: Locator;
  /** Takes no new job, finishes those in hand, releases everything. With `force` it does not wait for them. */
  close(options?: { force?: boolean }): Promise<void>;
  isRunning(): boolean;
  /**
   * Running totals of all workers of this prefix, for your metrics: `logins`, `action:revoke`, `reason:country_changed`,
   * `why:stale_data` (not checked, by the reason), `recheck:waiting` ... See docs/operations.md. Rejects when Redis is away.
   */
  stats(): Promise<Readonly<Record<string, number>>>;
}

/**
 * Starts a worker that checks the logins of the queue. Resolves when its databases are open; it then waits for Redis
 * as long as it takes. Throws BouncerError `option_invalid`, and `database_unusable` where overrides cannot be opened.
 */
export async function createWorker(options: WorkerOptions): Promise<LoginWorker> {
  checkOptions(options);
  const log = options.log ?? defaultLog('info');
  const brake = brakeOf(options, log);
  const clock = options.clock ?? Date.now;
  const releasers = new Releasers(log);
  const locator = await openLocator(options, log, clock);
  releasers.add('databases', () => locator.close());
  const keys = keysFor(options.prefix ?? 'bouncer');
  const redis = openWorkerRedis(options.redis, log);
  releasers.add('redis', () => redis.disconnect());
  const [policy, mode] = [policyOf(options), options.mode ?? 'enforce'];
  let force = false;
  const shared = { counters: redisCounters(redis, keys), log, clock, releasers, isForced: () => force };
  const ending = openEnding(redis, keys, options, shared);
  const incidents = redisIncidents(redis, keys, (options.incidentTtlDays ?? 365) * DAY_MS);
  const notifier = openNotifications(redis, keys, options, { incidents, ...shared });
  const tells = tellsOf(notifier);
  const deps: DetectDeps = {
    locator,
    baselines: redisBaselines(redis, keys, policy.baselineTtlMs, log),
    sessions: ending.sessions,
    rechecks: ending.rechecks,
    ...openWorkerDesk(redis, keys, { ...shared, ...deskOptions(options, brake, notifier), mode, locator }),
    incidents,
    counters: shared.counters,
    policy,
    mode,
    clock,
    caseOf,
    onIncident: (incident) => {
      logIncident(log, incident);
      tells.recorded(incident);
      asker?.noteIncident(incident);
    },
    onIncidentAgain: tells.onIncidentAgain,
    onEndedAgain: tells.onEndedAgain,
    onLocated: openRegistry(redis, keys, options, { ...shared, ...ending }),
    afterEffect: options.afterEffect,
  };
  const asker = options.registry?.enabled ? openAsker(redis, keys, deps, log, releasers) : null;
  const consumer = openConsumer(redis, keys, options, handlerOf(deps, asker), { log, clock });
  releasers.add('consumer', () => consumer.close(force));
  log.info(
    { event: 'worker_started', mode: deps.mode, sources: locator.sources().filter(({ ok }) => ok).length },
    'The login worker is running',
  );
  return {
    locator,
    close: (how) => {
      force ||= how?.force ?? false;
      // A drain that is under way already cannot be hurried otherwise: it ends with its connection.
      if (force) redis.disconnect();
      return releasers.run();
    },
    isRunning: () => consumer.isRunning(),
    stats: () => shared.counters.read(),
  };
}

/** A mode that we do not know would neither end anything nor count what it would have ended. */
function checkOptions(options: WorkerOptions): void {
  const { mode = 'enforce', anonymousNetwork = 'flag' } = options;
  if (mode !== 'enforce' && mode !== 'observe')
    throw new BouncerError('option_invalid', 'mode: give enforce or observe');
  if (anonymousNetwork !== 'flag' && anonymousNetwork !== 'allow')
    throw new BouncerError('option_invalid', 'anonymousNetwork: give flag or allow');
  checkNotificationOptions({ ...options, webhooks: options.webhooks ?? [] });
  checkPhpOptions(options.php);
}

function policyOf(options: WorkerOptions): Policy {
  const { anonymousNetwork = DEFAULT_POLICY.anonymousNetwork, baselineTtlDays = 180 } = options;
  return { ...DEFAULT_POLICY, baselineTtlMs: baselineTtlDays * DAY_MS, anonymousNetwork };
}

const tombstoneTtlMs = ({ tombstoneTtlDays = 30 }: WorkerOptions): number => tombstoneTtlDays * DAY_MS;

function brakeOf({ brake = {} }: WorkerOptions, log: Log): BrakePolicy | null {
  if (brake === false) return null;
  if (brake === null) throw new BouncerError('option_invalid', 'brake: give what differs from the default, or false');
  const policy = brakePolicy(brake);
  const { share, minLogins } = policy;
  if (tripsAtOnce(policy))
    log.warn(
      { event: 'brake_trips_at_once', share, minLogins },
      'While few log in, one session to end trips the brake and nothing is ended: raise brakeShare or brakeMinLogins until their product is 1 or more',
    );
  return policy;
}

function deskOptions(options: WorkerOptions, brake: BrakePolicy | null, notifier: Notifier) {
  return {
    brake,
    historyTtlMs: (options.historyTtlDays ?? 90) * DAY_MS,
    ages: { baselineTtlMs: policyOf(options).baselineTtlMs, tombstoneTtlMs: tombstoneTtlMs(options) },
    async onBrakeTrip(trip: BrakeTrip) {
      await notifier.tell({ event: 'brake.tripped', atMs: trip.atMs, trip });
      await options.onBrakeTrip?.(trip);
    },
    onBrakeReset: (atMs: number) => notifier.tell({ event: 'brake.reset', atMs, by: 'brake' }),
  };
}

function openConsumer(
  redis: Redis,
  keys: Keys,
  options: WorkerOptions,
  handle: HandleBatch,
  { log, clock }: Pick<EndingContext, 'log' | 'clock'>,
): Consumer {
  const names = { queue: LOGIN_QUEUE, prefix: keys.queuePrefix };
  return startConsumer(redis, names, {
    handle,
    setAside: redisSetAside(redis, keys),
    log,
    clock,
    concurrency: options.concurrency ?? 8,
    lockDurationMs: (options.lockDurationSeconds ?? 30) * 1000,
    recheckDelayMs: (options.recheckDelaySeconds ?? 60) * 1000,
    returnDelayMs: options.returnDelayMs,
  });
}

interface EndingContext {
  readonly counters: Counters;
  readonly log: Log;
  readonly clock: Clock;
  readonly releasers: Releasers;
  isForced(): boolean;
}

interface Ending {
  readonly sessions: Sessions;
  readonly rechecks: Rechecks;
  readonly php: PhpEnding;
}

/** All that makes an end last: on replicas, applied again by delayed jobs, and from memory after a failover. */
function openEnding(
  redis: Redis,
  keys: Keys,
  options: WorkerOptions,
  { counters, log, clock, releasers, isForced }: EndingContext,
): Ending {
  const { waitReplicas: replicas = 1, waitReplicasTimeoutMs: timeoutMs = 1000 } = options;
  const recent = new RecentRevocations({ clock });
  const inRedis = redisSessions(redis, keys, tombstoneTtlMs(options));
  const php = openPhpEnding(redis, keys, options, { log, releasers });
  const onServers = onReplicas(inRedis, redis, { replicas, timeoutMs, log, clock });
  const sessions = recent.remembering(php.ending(onServers));
  const deps: RecheckDeps = { sessions, standing: redisStanding(redis, keys), counters, log };
  watchServer(redis, log, (server) => recent.reapply(`reconnect:${server}`, deps));

  const names = { queue: RECHECK_QUEUE, prefix: keys.queuePrefix };
  const { recheckDelaysMs = RECHECK_DELAYS_MS } = options;
  const rechecks = recheckQueue(redis, names, recheckDelaysMs, log, php.recheckDelaysMs);
  releasers.add('recheck queue', () => rechecks.close());
  const handOver = { ...deps, rechecks, clock, registry: redisRegistry(redis, keys), audit: redisAudit(redis, keys) };
  const work = async (ends: readonly Revocation[], pass: string, isFinal: boolean) => {
    // What is handed over comes by itself.
    const [one] = ends;
    // Another worker may have the keys; only when the tries are used up is it noted that nobody had.
    if (one?.handedOver && !php.isConfigured && !isFinal) throw new PhpKeysMissing();
    await (one?.handedOver ? takeOver(one, pass, isFinal, handOver) : recheck(ends, pass, deps));
  };
  const consumer = startRechecks(redis, names, work, log);
  releasers.add('rechecks', () => consumer.close(isForced()));
  return { sessions, rechecks, php };
}

/** Webhooks. A worker without any tells nobody of its own incidents, but takes what others queue. */
function openNotifications(
  redis: Redis,
  keys: Keys,
  options: WorkerOptions,
  { incidents, log, clock, releasers, isForced }: Omit<EndingContext, 'counters'> & { incidents: Incidents },
): Notifier {
  const webhooks = options.webhooks ?? [];
  const consumer = startNotifications(redis, keys, { ...options, webhooks }, { incidents, log, clock });
  releasers.add('notifications', () => consumer.close(isForced()));
  const notifier = openNotifier(redis, keys, log);
  releasers.add('notifier', () => notifier.close());
  return webhooks.length === 0 ? { tell: async () => {} } : notifier;
}

/** What other systems are told of incidents. Each has an id of its own, so that telling it again tells nothing new. */
function tellsOf(notifier: Notifier) {
  const recorded = ({ id: caseId, decidedAtMs: atMs }: Incident) =>
    void notifier.tell({ event: 'incident.recorded', caseId, atMs });
  const endedAgain = (caseId: string, atMs: number | undefined) => {
    if (atMs !== undefined) void notifier.tell({ event: 'session.ended_again', caseId, atMs });
  };
  return {
    recorded,
    onIncidentAgain: (incident: RecordedIncident) => {
      recorded(incident);
      endedAgain(incident.id, incident.endedAgain?.atMs);
    },
    onEndedAgain: ({ id, revokedAtMs }: Incident) => endedAgain(id, revokedAtMs),
  };
}

/** The list of sessions: what the worker adds to it, and its sweep. */
function openRegistry(
  redis: Redis,
  keys: Keys,
  options: WorkerOptions,
  { log, clock, releasers, isForced, php, ...ending }: Omit<EndingContext, 'counters'> & Ending,
): NonNullable<DetectDeps['onLocated']> {
  const registry = redisRegistry(redis, keys);
  const sweeper = redisSweeper(redis, keys, php.sweeping(registry), SWEEP_USER_EVERY_MS);
  const names = { queue: SWEEP_QUEUE, prefix: keys.queuePrefix };
  const retention = redisRetention(redis, keys, retentionTimes(options));
  const everyMs = (options.sweepEveryMinutes ?? SWEEP_EVERY_MINUTES) * 60_000;
  const sweeps = startSweeps(redis, names, { sweeper, retention, everyMs, clock, log });
  releasers.add('sweeps', () => sweeps.close(isForced()));
  const listing = { ...ending, registry, ids: redisPhpIds(redis, keys), clock, caseOf };
  return noteLogins({ registry, sweeper, log, clock, list: (login) => listPhpLogin(login, listing) });
}

interface NoteDeps {
  readonly registry: Registry;
  readonly sweeper: Sweeper;
  readonly log: Log;
  readonly clock: Clock;
  list(login: LoginEvent): Promise<void>;
}

/** For the list of a user's sessions; the check of a login does not depend on it. */
function noteLogins({ registry, sweeper, log, clock, list }: NoteDeps): NonNullable<DetectDeps['onLocated']> {
  return async (logins) => {
    const known = logins.filter(({ countries }) => countries.length > 0);
    const userIds = logins.map(({ userId }) => userId);
    try {
      // One that cannot be listed keeps nobody else from being noted.
      const listed = await Promise.allSettled(logins.map(({ unlisted }) => unlisted && list(unlisted)));
      await Promise.all([registry.located(known), sweeper.note(userIds, clock())]);
      const failed = listed.find((one) => one.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    } catch (error) {
      log.warn({ event: 'registry_failed', error: errorName(error) }, 'Where logins came from could not be noted');
    }
  };
}

function handlerOf(deps: DetectDeps, asker: Asker | null): HandleBatch {
  return async (logins, context) => {
    const detected = await detect(logins, context, deps);
    const done = logins.filter((login) => !detected.failed.includes(login));
    await asker?.askAbout(done, context);
    return detected;
  };
}

/** Asks after a batch has been decided and recorded: one more round trip for it, and only when there is something to ask. */
function openAsker(redis: Redis, keys: Keys, deps: DetectDeps, log: Log, releasers: Releasers): Asker {
  const asks = registryAsks(redis, { queue: REGISTRY_QUEUE, prefix: keys.queuePrefix }, log, deps.clock);
  releasers.add('registry queue', () => asks.close());
  return new Asker({ locator: deps.locator, incidents: deps.incidents, asks, log, caseOf: deps.caseOf });
}

/**
 * The operator's overrides vouch for people (VPN exits, offices): a worker that began without them would end their sessions. A
 * database that does not open only makes it less sure.
 */
async function openLocator(options: WorkerOptions, log: Log, clock: Clock): Promise<Chain> {
  const given = chainOptions(options, log, clock);
  checkSourceOptions(given);
  const chain = await openChain(given);
  const named = new Set((options.overrides ?? []).map((path) => resolve(path)));
  const missing = chain.sources().find(({ origin, ok }) => !ok && named.has(origin));
  if (missing === undefined) return chain;
  chain.close();
  const { origin, problem } = missing;
  const why = 'A worker without them would end sessions of people they vouch for';
  const remedy = 'correct the file, or take it out of the configuration.';
  throw new BouncerError('database_unusable', `overrides: ${origin}: ${problem} ${why}: ${remedy}`);
}

function chainOptions(options: WorkerOptions, log: Log, clock: Clock): ChainOptions {
  return {
    log,
    clock,
    databases: options.databases,
    overrides: options.overrides,
    canaries: options.canaries,
    reload: options.reload,
    maxAgeDays: options.maxDatabaseAgeDays,
  };
}

/** One line each, for a SIEM. No session id, no handle, no text from outside. */
function logIncident(log: Log, incident: Incident): void {
  const { sighting, baseline } = incident;
  const isV6 = sighting.kind === 'located' && sighting.family === 6;
  const family = isV6 ? baseline.v6 : baseline.v4;
  log.warn(
    {
      event: 'incident',
      case: incident.id,
      user: safeUser(incident.userId),
      action: incident.action,
      reason: incident.reason,
      mode: incident.mode,
      outcome: incident.outcome,
      address: sighting.address,
      seen: sighting.kind === 'located' ? sighting.candidates : sighting.why,
      known: family.places.map((place) => place.countries.join('|')),
      loginAtMs: incident.loginAtMs,
      revokedAtMs: incident.revokedAtMs,
    },
    'A login did not match its user',
  );
}
