import type { Redis } from 'ioredis';
import { caseOf } from './case-of.ts';
import type { Desk, Overview } from './desk-ports.ts';
import { openPrivacy } from './desk-privacy.ts';
import { DEFAULT_POLICY } from './domain/policy.ts';
import { openNotifier } from './notify.ts';
import type { Clock, Log } from './ports.ts';
import { queueDepths } from './queue/depths.ts';
import { deadLetters } from './queue/notifications.ts';
import { RECHECK_DELAYS_MS, rechecked, recheckQueue } from './queue/rechecks.ts';
import { redisAudit } from './redis/audit.ts';
import { redisBrake } from './redis/brake.ts';
import { redisCounters } from './redis/counters.ts';
import { redisHistory } from './redis/history.ts';
import { redisIncidents } from './redis/incidents.ts';
import { keptAsByWorkers } from './redis/kept.ts';
import { type Keys, NOTIFICATION_QUEUE, RECHECK_QUEUE } from './redis/keys.ts';
import { redisLists } from './redis/lists.ts';
import { redisLogins } from './redis/logins.ts';
import { redisObserved } from './redis/observed.ts';
import { redisRegistry } from './redis/registry.ts';
import { redisSeries } from './redis/series.ts';
import { sharedTime } from './redis/server-time.ts';
import { guardedSessions } from './redis/sessions.ts';
import { redisUndo } from './redis/undo.ts';
import { redisWorkers } from './redis/workers.ts';
import { Releasers } from './release.ts';
import { answerIncident } from './review/answer.ts';
import { learnedOf } from './review/baseline.ts';
import { EXPORT_TYPES, exportAudit, exportIncidents } from './review/exports.ts';
import { listActs } from './review/lists.ts';
import { related } from './review/related.ts';
import { reopenIncident } from './review/reopen.ts';
import { trustActs } from './review/trust.ts';
import { undoIncident } from './review/undo.ts';
import { checkActor, checkWhy, note, type ReviewDeps } from './review.ts';
import { LONGEST_SESSION_MS, type SessionAdmin, sessionAdmin } from './session-admin.ts';

const HOUR_MS = 3_600_000;
/** How long things count is the workers' to say: whatever a person does here drops nothing as too old. */
const DESK_POLICY = { ...DEFAULT_POLICY, baselineTtlMs: Number.POSITIVE_INFINITY };

export interface DeskOptions {
  /** A connection of ours (see redis/connection); it stays open when the desk is closed. */
  readonly redis: Redis;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Log;
  /** As the workers': until one of them has said how long it keeps things, which then counts. Default 180 and 30 days. */
  readonly baselineTtlMs?: number | undefined;
  readonly tombstoneTtlMs?: number | undefined;
  /** As the web tier's. Default: a year and more, for nobody knows how long its sessions may live. */
  readonly absoluteTtlMs?: number | undefined;
}

export interface OpenDesk extends Desk {
  /** Waits for what is being told. */
  close(): Promise<void>;
}

/** The review desk over Redis: what the console, the command line and a user's own link act through. */
export function openDesk(options: DeskOptions): OpenDesk {
  const { redis, keys, clock, log } = options;
  const releasers = new Releasers(log);
  const deps = reviewDeps(options, releasers);
  const { incidents, audit } = deps;
  return {
    incidents: (query, limit, cursor) => incidents.list(query, limit, cursor),
    incident: (caseId) => incidents.get(caseId),
    exportIncidents: (query, format) => ({
      type: EXPORT_TYPES[format],
      pieces: exportIncidents({ incidents }, query, format),
    }),
    related: (incident, limit) => related(incidents, incident, limit),
    answer: (caseId, request, actor) => answerIncident(deps, caseId, request, actor),
    undo: (caseId, why, actor, choice) => undoIncident(deps, caseId, why, actor, choice),
    reopen: (caseId, why, actor, choice) => reopenIncident(deps, caseId, why, actor, choice),
    standingEnd: ({ lid }) => deps.logins.endMark(lid),
    learned: (incident) => learnedOf(deps.baselines, incident),
    ...sessionActs(options, deps),
    ...trustActs({ ...deps, history: redisHistory(redis, keys, 0) }),
    ...listActs(deps),
    ...brakeActs(options, deps),
    ...overviewOf(options, deps, releasers),
    audit: (limit) => audit.list(limit),
    exportAudit: (format) => ({ type: EXPORT_TYPES[format], pieces: exportAudit(audit, format) }),
    actsOn: (caseId) => audit.ofCase(caseId),
    note: (entry) => audit.add([{ atMs: clock(), ...entry }]),
    history: (userId, limit) => redisHistory(redis, keys, 0).list(userId, limit),
    ...openPrivacy(options, { ...deps, sessions: adminOf(options, deps) }),
    close: () => releasers.run(),
  };
}

type DeskDeps = ReviewDeps & {
  readonly incidents: ReturnType<typeof redisIncidents>;
  readonly registry: ReturnType<typeof redisRegistry>;
};

function reviewDeps(options: DeskOptions, releasers: Releasers): DeskDeps {
  const { redis, keys, clock, log } = options;
  const names = { queue: RECHECK_QUEUE, prefix: keys.queuePrefix };
  const rechecks = recheckQueue(redis, names, RECHECK_DELAYS_MS, log);
  releasers.add('recheck queue', () => rechecks.close());
  const notifier = openNotifier(redis, keys, log);
  releasers.add('notifier', () => notifier.close());
  const { baselines, sessions } = keptAsByWorkers(options);
  return {
    // Records none, so it needs not know how long they are kept.
    incidents: redisIncidents(redis, keys, 0),
    baselines,
    policy: DESK_POLICY,
    sessions: rechecked(sessions, rechecks, log),
    logins: redisLogins(redis, keys),
    registry: redisRegistry(redis, keys),
    undo: redisUndo(redis, keys),
    lists: redisLists(redis, keys),
    audit: redisAudit(redis, keys),
    notifier,
    clock,
    log,
    caseOf,
  };
}

type SessionActs = Pick<Desk, 'sessions' | 'endSession' | 'endOthers' | 'endAll'>;

function adminOf({ redis, keys, absoluteTtlMs = LONGEST_SESSION_MS }: DeskOptions, deps: DeskDeps): SessionAdmin {
  return sessionAdmin({ ...deps, guarded: guardedSessions(redis, keys), absoluteTtlMs });
}

function sessionActs(options: DeskOptions, deps: DeskDeps): SessionActs {
  const admin = adminOf(options, deps);
  return {
    sessions: (userId) => admin.list(userId),
    endSession: (userId, lid, why, { by }) => admin.end(lid, { by, why, ofUser: userId }),
    endOthers: (userId, keepLid, why, { by }) => admin.endOthers(userId, keepLid, { by, why }),
    endAll: (userId, why, { by }) => admin.endAll(userId, { by, why }),
  };
}

function brakeActs({ redis, keys, clock }: DeskOptions, deps: DeskDeps): Pick<Desk, 'brake' | 'resetBrake'> {
  const brake = redisBrake(redis, keys);
  const now = sharedTime(redis, clock);
  return {
    brake: () => brake.state(),
    async resetBrake(why, actor) {
      checkActor(actor);
      checkWhy(why);
      const { by } = actor;
      const atMs = await now();
      const before = await brake.reset(by, atMs);
      const outcome = before.kind === 'tripped' ? 'enforcing' : before.kind;
      await note(deps, [{ what: 'brake_reset', by, why, userId: null, lid: null, outcome }]);
      if (before.kind === 'tripped') void deps.notifier.tell({ event: 'brake.reset', atMs, by });
      return before;
    },
  };
}

function overviewOf(
  { redis, keys, clock, log }: DeskOptions,
  deps: DeskDeps,
  releasers: Releasers,
): Pick<Desk, 'overview' | 'deadLetters' | 'retryDeadLetter'> {
  const letters = deadLetters(redis, { queue: NOTIFICATION_QUEUE, prefix: keys.queuePrefix }, log, clock);
  releasers.add('dead letters', () => letters.close());
  const depths = queueDepths(redis, keys);
  const [series, brake, workers] = [redisSeries(redis, keys), redisBrake(redis, keys), redisWorkers(redis, keys)];
  return {
    async overview(fromMs, toMs): Promise<Overview> {
      const step = toMs - fromMs <= 6 * HOUR_MS ? 'minute' : 'hour';
      const [countries, points, queues, living, state, openIncidents, totals, wouldHaveEnded, dead, lastTrip] =
        await Promise.all([
          series.countries(fromMs, toMs),
          series.read(fromMs, toMs, step),
          depths(),
          workers.list(clock()),
          brake.state(),
          deps.incidents.countOpen(),
          redisCounters(redis, keys).read(),
          redisObserved(redis, keys).read(fromMs, toMs),
          letters.count(),
          brake.lastTrip(),
        ]);
      const now = { queues, workers: living, brake: state, openIncidents, totals, deadLetters: dead, lastTrip };
      return { countries, series: points, wouldHaveEnded, ...now };
    },
    deadLetters: (limit) => letters.list(limit),
    async retryDeadLetter(id, { by }) {
      const outcome = await letters.retry(id);
      const act = { what: 'retry_notification', by, why: '', userId: null, lid: null } as const;
      await note(deps, [{ ...act, outcome: outcome ? 'queued' : 'gone' }]);
      return outcome;
    },
  };
}
