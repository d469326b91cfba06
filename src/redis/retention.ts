import type { Redis } from 'ioredis';
import type { Retention } from '../desk-ports.ts';
import type { Disposition, Incident, IncidentStatus } from '../domain/incident.ts';
import { REASONS } from '../domain/reasons.ts';
import { addedLists, listsOf } from './incident-lists.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const pruneVisits = loadScript('prune-visits-3');

/** How long each is kept, milliseconds. */
export interface RetentionTimes {
  readonly incidentTtlMs: number;
  readonly visitTtlMs: number;
  readonly auditTtlMs: number;
}

const DAY_MS = 86_400_000;

export function retentionTimes(days: {
  readonly incidentTtlDays?: number | undefined;
  readonly visitTtlDays?: number | undefined;
  readonly auditTtlDays?: number | undefined;
}): RetentionTimes {
  const { incidentTtlDays = 365, visitTtlDays = 365, auditTtlDays = 730 } = days;
  return {
    incidentTtlMs: incidentTtlDays * DAY_MS,
    visitTtlMs: visitTtlDays * DAY_MS,
    auditTtlMs: auditTtlDays * DAY_MS,
  };
}

const STATUSES: Readonly<Record<IncidentStatus, true>> = { open: true, confirmed: true, safe: true, dismissed: true };
const LETTERS = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];

/** Records looked at in one go. */
const AT_ONCE = 500;

/**
 * What lives at a key of its own goes by that key's time to live; this is for the rest: rows of lists that outlive their
 * incidents, single visits, single entries of the audit; and for incidents that were written when they were to be kept
 * longer. Goes by sorted sets, never over the keyspace. (What is known of a user's logins, and the history of them, are rewritten at
 * each login with the time to live that is configured then.)
 */
export function redisRetention(redis: Redis, keys: Keys, times: RetentionTimes): Retention {
  return {
    async expire(nowMs) {
      const indexed = await indexOld(redis, keys, times.incidentTtlMs);
      const incidents = await expireIncidents(redis, keys, nowMs - times.incidentTtlMs);
      const visits = await expireVisits(redis, keys, nowMs - times.visitTtlMs);
      const oldest = Math.max(0, Math.ceil(nowMs - times.auditTtlMs));
      const audit = await redis.xtrim(keys.audit(), 'MINID', '=', oldest);
      return { incidents, visits, audit, indexed };
    },
  };
}

/** Those of all incidents that are older go with all that is on record of them; then the rows that are left of others. */
async function expireIncidents(redis: Redis, keys: Keys, beforeMs: number): Promise<number> {
  let expired = 0;
  for (;;) {
    const rows = await redis.zrangebyscore(keys.incidentsAll(), '-inf', `(${beforeMs}`, 'LIMIT', 0, AT_ONCE);
    if (rows.length > 0) await erase(redis, keys, rows);
    expired += rows.length;
    if (rows.length < AT_ONCE) break;
  }
  const pipeline = redis.pipeline();
  for (const list of commonLists(keys)) pipeline.zremrangebyscore(list, '-inf', `(${beforeMs}`);
  await pipeline.exec();
  return expired;
}

/** Off the list of all last: a sweep that dies in between is done again from there. */
async function erase(redis: Redis, keys: Keys, caseIds: readonly string[]): Promise<void> {
  const docs = await Promise.all(caseIds.map((caseId) => redis.hmget(keys.incident(caseId), 'json', 'status')));
  const pipeline = redis.pipeline();
  for (const [i, caseId] of caseIds.entries()) {
    const [json, status] = docs[i] ?? [];
    if (json) {
      const lists = listsOf(keys, JSON.parse(json) as Incident, (status ?? 'open') as IncidentStatus);
      for (const list of lists.filter((one) => one !== keys.incidentsAll())) pipeline.zrem(list, caseId);
    }
    pipeline.unlink(keys.incident(caseId), keys.visits(caseId), keys.visitCounts(caseId));
  }
  pipeline.zrem(keys.visited(), ...caseIds);
  pipeline.zrem(keys.incidentsAll(), ...caseIds);
  for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
}

/** There is a fixed number of these; the lists of a user, an address or a network expire with their newest incident. */
function commonLists(keys: Keys): string[] {
  return [
    ...(Object.keys(STATUSES) as ('open' | Disposition)[]).map(keys.incidentsByStatus),
    ...Object.keys(REASONS).map(keys.incidentsByReason),
    ...['flag', 'revoke'].map(keys.incidentsByAction),
    ...LETTERS.flatMap((a) => LETTERS.map((b) => keys.incidentsByCountry(a + b))),
  ];
}

async function expireVisits(redis: Redis, keys: Keys, beforeMs: number): Promise<number> {
  let removed = 0;
  for (;;) {
    const due = await redis.zrangebyscore(keys.visited(), '-inf', `(${beforeMs}`, 'LIMIT', 0, AT_ONCE);
    const prune = (caseId: string) => {
      const where = [keys.visits(caseId), keys.visitCounts(caseId), keys.visited()];
      return runScript(redis, pruneVisits, where, [caseId, String(beforeMs)]) as Promise<number>;
    };
    for (const count of await Promise.all(due.map(prune))) removed += count;
    if (due.length < AT_ONCE) return removed;
  }
}

const DONE = 'done';

/** Incidents of earlier releases are on fewer lists: puts them on the others, once. A sweep that dies goes on from its mark. */
async function indexOld(redis: Redis, keys: Keys, keepMs: number): Promise<number> {
  let indexed = 0;
  for (let from = await redis.get(keys.incidentsIndexed()); from !== DONE; ) {
    const start = Number(from ?? 0) || 0;
    const caseIds = await redis.zrange(keys.incidentsAll(), String(start), String(start + AT_ONCE - 1));
    const docs = await Promise.all(caseIds.map((caseId) => redis.hget(keys.incident(caseId), 'json')));
    const pipeline = redis.pipeline();
    for (const json of docs) {
      if (!json) continue;
      const incident = JSON.parse(json) as Incident;
      for (const list of addedLists(keys, incident)) {
        pipeline.zadd(list, String(incident.decidedAtMs), incident.id);
        pipeline.pexpire(list, keepMs);
      }
      indexed += 1;
    }
    from = caseIds.length < AT_ONCE ? DONE : String(start + AT_ONCE);
    pipeline.set(keys.incidentsIndexed(), from);
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
  }
  return indexed;
}
