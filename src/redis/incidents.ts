import type { Redis } from 'ioredis';
import type { IncidentQuery } from '../desk-ports.ts';
import {
  type Disposition,
  type EndedAgain,
  type Incident,
  type IncidentRecord,
  type IncidentStatus,
  type PendingAnswer,
  USER,
  type UserWord,
  type Visit,
} from '../domain/incident.ts';
import { type RegistryFinding, SETTLED_BY } from '../domain/registry.ts';
import type { Sighting } from '../domain/types.ts';
import type { IncidentPage, Incidents, Resolution } from '../ports.ts';
import { AUDIT_BOUNDS } from './audit.ts';
import { listsOf } from './incident-lists.ts';
import { incidentPage, type ReadMatching } from './incident-pages.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const record = loadScript('record-n');
const visit = loadScript('visit-4');
const resolve = loadScript('resolve-7');
const settled = loadScript('settled-1');
const reopen = loadScript('reopen-3');

/**
 * Of each kind the first ones are kept, and the newest refused one; a holder who polls for a week must not fill Redis.
 * Views of the gotcha page have few: anybody who has a case number can make them.
 */
export const VISITS_KEPT: Readonly<Record<Visit['kind'], number>> = { refused: 50, gotcha: 10 };

/** Expired rows that one new incident takes off each of its lists. */
const EXPIRED_AT_ONCE = 10;

export interface IncidentStore extends Incidents {
  /**
   * Newest first, by a cursor that stays good while incidents come and go. Looks at a bounded number of rows: a page with
   * fewer incidents than asked for may still have a cursor, and then is not the last one.
   */
  list(query: IncidentQuery, limit: number, cursor?: string | null): Promise<IncidentPage>;
  /** Takes this answer off again, where it is the one on record. Atomic. */
  reopen(caseId: string, answer: Disposition, atMs: number): Promise<boolean>;
  /** How many are open. */
  countOpen(): Promise<number>;
}

export function redisIncidents(redis: Redis, keys: Keys, keepMs: number): IncidentStore {
  const read: ReadMatching = (caseIds, fits) => readMatching(redis, keys, caseIds, fits);
  return {
    record: (incidents) => Promise.all(incidents.map((incident) => recordOne(redis, keys, keepMs, incident))),
    async existing(caseIds) {
      if (caseIds.length === 0) return [];
      const pipeline = redis.pipeline();
      for (const caseId of caseIds) pipeline.hmget(keys.incident(caseId), 'json', 'endedAgain');
      const replies = (await pipeline.exec()) ?? [];
      return replies.map(([error, reply]) => {
        if (error) throw error;
        const [json, again] = reply as (string | null)[];
        return json ? { ...(JSON.parse(json) as Incident), ...endedAgainOf(again) } : null;
      });
    },
    get: async (caseId) => (await read([caseId], () => true))[0] ?? null,
    list: (query, limit, cursor) => incidentPage(redis, keys, read, query, limit, cursor ?? null),
    async visit(caseId, seen) {
      const { kind, atMs } = seen;
      const args = [JSON.stringify(seen), String(atMs), kind, String(VISITS_KEPT[kind]), String(keepMs), caseId];
      const where = [keys.incident(caseId), keys.visitCounts(caseId), keys.visits(caseId), keys.visited()];
      return (await runScript(redis, visit, where, args)) as 'kept' | 'counted' | 'unknown';
    },
    resolve: (caseId, answer) => resolveOne(redis, keys, caseId, answer),
    async settled(caseId, answeredAtMs) {
      await runScript(redis, settled, [keys.incident(caseId)], [String(answeredAtMs)]);
    },
    async reopen(caseId, answer, atMs) {
      const where = [keys.incident(caseId), keys.incidentsByStatus('open'), keys.incidentsByStatus(answer)];
      return (await runScript(redis, reopen, where, [caseId, answer, String(atMs)])) === 1;
    },
    countOpen: () => redis.zcard(keys.incidentsByStatus('open')),
  };
}

async function resolveOne(redis: Redis, keys: Keys, caseId: string, answer: Resolution) {
  const lists = ['open', 'confirmed', 'safe', 'dismissed'].map((status) => keys.incidentsByStatus(status));
  const where = [keys.incident(caseId), ...lists, keys.audit(), keys.auditOfCase(caseId)];
  const { disposition, by, note, atMs, pending, entry } = answer;
  const beside = [pending, entry].map((one) => (one === undefined ? '' : JSON.stringify(one)));
  const args = [caseId, disposition, by, note, String(atMs), SETTLED_BY, USER, ...beside, ...AUDIT_BOUNDS];
  return (await runScript(redis, resolve, where, args)) as 'resolved' | 'unknown' | Disposition;
}

const RECORDED = { 0: false, 1: true, 2: 'ended_again' } as const;

async function recordOne(redis: Redis, keys: Keys, keepMs: number, incident: Incident) {
  const answered = ['safe', 'dismissed'].map((status) => keys.incidentsByStatus(status));
  const where = [keys.incident(incident.id), ...answered, ...listsOf(keys, incident, 'open')];
  const times = [String(incident.decidedAtMs), String(keepMs)];
  const args = [incident.id, JSON.stringify(incident), ...times, String(EXPIRED_AT_ONCE), ...endOf(incident)];
  try {
    return RECORDED[(await runScript(redis, record, where, args)) as keyof typeof RECORDED];
  } catch (error) {
    return error instanceof Error ? error : new Error('record failed');
  }
}

/** When this case ended its login, and what is noted of that where the incident is on record. */
function endOf({ reason, revokedAtMs: atMs, endedByCase, loginAtMs: eventAtMs }: Incident): [string, string] {
  if (atMs === undefined || endedByCase !== undefined) return ['0', '{}'];
  return [String(atMs), JSON.stringify({ reason, atMs, eventAtMs })];
}

function endedAgainOf(json: string | null | undefined): Pick<IncidentRecord, 'endedAgain'> {
  return json ? { endedAgain: JSON.parse(json) as EndedAgain } : {};
}

/** Two round trips: the documents of all, then the visits of those that fit. */
async function readMatching(
  redis: Redis,
  keys: Keys,
  caseIds: readonly string[],
  fits: Parameters<ReadMatching>[1],
): Promise<(IncidentRecord | null)[]> {
  const docs = (await pipelined(redis, caseIds, (pipeline, id) => pipeline.hgetall(keys.incident(id)))) as Doc[];
  const records = docs.map(parsed).map((one) => (one !== null && fits(one) ? one : null));
  const wanted = records.flatMap((one) => (one === null ? [] : [one.id]));
  const counts = pipelined(redis, wanted, (pipeline, id) => pipeline.hgetall(keys.visitCounts(id)));
  const visits = pipelined(redis, wanted, (pipeline, id) => pipeline.lrange(keys.visits(id), 0, -1));
  const [allCounts, allVisits] = (await Promise.all([counts, visits])) as [Doc[], string[][]];
  const seen = new Map(wanted.map((id, i) => [id, visitsOf(allCounts[i] ?? {}, allVisits[i] ?? [])]));
  return records.map((one) => one && { ...one, ...(seen.get(one.id) ?? NO_VISITS) });
}

type Doc = Record<string, string>;
type Pipeline = ReturnType<Redis['pipeline']>;

async function pipelined(redis: Redis, ids: readonly string[], add: (pipeline: Pipeline, id: string) => unknown) {
  if (ids.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const id of ids) add(pipeline, id);
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, reply]): unknown => {
    if (error) throw error;
    return reply;
  });
}

const NO_VISITS: Pick<IncidentRecord, 'visitCount' | 'visits'> = { visitCount: 0, visits: [] };

function visitsOf(counts: Doc, seen: readonly string[]) {
  const visits = seen.map((one) => JSON.parse(one) as Visit);
  if (counts.last !== undefined) visits.push(JSON.parse(counts.last) as Visit);
  visits.sort((a, b) => a.atMs - b.atMs);
  const { firstRefusedAtMs, lastGotchaAtMs } = counts;
  return {
    ...(lastGotchaAtMs === undefined ? {} : { lastGotchaAtMs: Number(lastGotchaAtMs) }),
    ...(firstRefusedAtMs === undefined ? {} : { firstRefusedAtMs: Number(firstRefusedAtMs) }),
    visitCount: Number(counts.count ?? 0),
    visits,
  };
}

function parsed(doc: Doc): Omit<IncidentRecord, 'visitCount' | 'visits'> | null {
  if (doc.json === undefined) return null;
  const incident = JSON.parse(doc.json) as Incident;
  const registry = doc.registry === undefined ? undefined : (JSON.parse(doc.registry) as RegistryFinding);
  return {
    ...incident,
    ...endedAgainOf(doc.endedAgain),
    ...(registry === undefined ? {} : { registry, sighting: withEvidence(incident.sighting, registry) }),
    ...(doc.overruled === undefined ? {} : { overruled: doc.overruled as Disposition }),
    ...(doc.userWord === undefined ? {} : { userWord: JSON.parse(doc.userWord) as UserWord }),
    ...(doc.pending === undefined ? {} : { pending: JSON.parse(doc.pending) as PendingAnswer }),
    status: (doc.status ?? 'open') as IncidentStatus,
    ...(doc.resolvedBy === undefined
      ? {}
      : { resolvedBy: doc.resolvedBy, note: doc.note ?? '', resolvedAtMs: Number(doc.resolvedAtMs) }),
  };
}

/** What a registry said stands below what the databases said. */
function withEvidence(sighting: Sighting, { evidence }: RegistryFinding): Sighting {
  return { ...sighting, evidence: [...sighting.evidence, ...evidence] };
}
