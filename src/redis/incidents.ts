import type { Redis } from 'ioredis';
import type { Disposition, Incident, IncidentRecord, IncidentStatus, Visit } from '../domain/incident.ts';
import { type RegistryFinding, SETTLED_AS, SETTLED_BY } from '../domain/registry.ts';
import type { Sighting } from '../domain/types.ts';
import { BouncerError } from '../errors.ts';
import type { IncidentFilter, IncidentPage, Incidents } from '../ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const record = loadScript('record-5');
const visit = loadScript('visit-3');
const resolve = loadScript('resolve-4');

/**
 * Of each kind the first ones are kept, and the newest refused one; a holder who polls for a week must not fill Redis.
 * Views of the gotcha page have few: anybody who has a case number can make them.
 */
export const VISITS_KEPT: Readonly<Record<Visit['kind'], number>> = { refused: 50, gotcha: 10 };

export function redisIncidents(redis: Redis, keys: Keys, keepMs: number): Incidents {
  const get = async (caseId: string): Promise<IncidentRecord | null> => (await read(redis, keys, [caseId]))[0] ?? null;
  return {
    record: (incidents) => Promise.all(incidents.map((incident) => recordOne(redis, keys, keepMs, incident))),
    async existing(caseIds) {
      if (caseIds.length === 0) return [];
      const pipeline = redis.pipeline();
      for (const caseId of caseIds) pipeline.hget(keys.incident(caseId), 'json');
      const replies = (await pipeline.exec()) ?? [];
      return replies.map(([error, json]) => {
        if (error) throw error;
        return typeof json === 'string' ? (JSON.parse(json) as Incident) : null;
      });
    },
    get,
    list: (filter, limit, cursor) => list(redis, keys, filter, limit, cursor ?? null),
    async visit(caseId, seen) {
      const { kind, atMs } = seen;
      const args = [JSON.stringify(seen), String(atMs), kind, String(VISITS_KEPT[kind]), String(keepMs)];
      const where = [keys.incident(caseId), keys.visitCounts(caseId), keys.visits(caseId)];
      return (await runScript(redis, visit, where, args)) as 'kept' | 'counted' | 'unknown';
    },
    async resolve(caseId, answer) {
      const lists = ['open', answer.disposition, SETTLED_AS].map((status) => keys.incidentsByStatus(status));
      const args = [
        caseId,
        answer.disposition,
        answer.by,
        answer.note,
        String(answer.atMs),
        String(keepMs),
        SETTLED_BY,
      ];
      return (await runScript(redis, resolve, [keys.incident(caseId), ...lists], args)) as
        | 'resolved'
        | 'unknown'
        | Disposition;
    },
  };
}

async function recordOne(redis: Redis, keys: Keys, keepMs: number, incident: Incident): Promise<boolean | Error> {
  const where = [
    keys.incident(incident.id),
    keys.incidentsAll(),
    keys.incidentsByStatus('open'),
    keys.incidentsByUser(incident.userId),
    // Those whose address nobody knows have a list too: each incident is on four.
    keys.incidentsByAddress(incident.sighting.address ?? 'unknown'),
  ];
  const args = [incident.id, JSON.stringify(incident), String(incident.decidedAtMs), String(keepMs)];
  try {
    return (await runScript(redis, record, where, args)) === 1;
  } catch (error) {
    return error instanceof Error ? error : new Error('record failed');
  }
}

/** Reads whole records in one round trip; null where there is none (any more). */
async function read(redis: Redis, keys: Keys, caseIds: readonly string[]): Promise<(IncidentRecord | null)[]> {
  if (caseIds.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const caseId of caseIds) {
    pipeline.hgetall(keys.incident(caseId));
    pipeline.hgetall(keys.visitCounts(caseId));
    pipeline.lrange(keys.visits(caseId), 0, -1);
  }
  const replies = (await pipeline.exec()) ?? [];
  const value = (index: number): unknown => {
    const [error, reply] = replies[index] ?? [new Error('no reply'), null];
    if (error) throw error;
    return reply;
  };
  return caseIds.map((_, i) =>
    assemble(
      value(3 * i) as Record<string, string>,
      value(3 * i + 1) as Record<string, string>,
      value(3 * i + 2) as string[],
    ),
  );
}

function assemble(doc: Record<string, string>, counts: Record<string, string>, seen: string[]): IncidentRecord | null {
  if (doc.json === undefined) return null;
  const visits = seen.map((one) => JSON.parse(one) as Visit);
  const visitCount = Number(counts.count ?? 0);
  if (counts.last !== undefined) visits.push(JSON.parse(counts.last) as Visit);
  visits.sort((a, b) => a.atMs - b.atMs);
  const incident = JSON.parse(doc.json) as Incident;
  const registry = doc.registry === undefined ? undefined : (JSON.parse(doc.registry) as RegistryFinding);
  return {
    ...incident,
    ...(registry === undefined ? {} : { registry, sighting: withEvidence(incident.sighting, registry) }),
    status: (doc.status ?? 'open') as IncidentStatus,
    ...(doc.resolvedBy === undefined
      ? {}
      : { resolvedBy: doc.resolvedBy, note: doc.note ?? '', resolvedAtMs: Number(doc.resolvedAtMs) }),
    ...(counts.firstRefusedAtMs === undefined ? {} : { firstRefusedAtMs: Number(counts.firstRefusedAtMs) }),
    visitCount,
    visits,
  };
}

/** What a registry said stands below what the databases said. */
function withEvidence(sighting: Sighting, { evidence }: RegistryFinding): Sighting {
  return { ...sighting, evidence: [...sighting.evidence, ...evidence] };
}

/** Where a page ended: the score and case number of its last row. */
interface Position {
  readonly score: string;
  readonly id: string;
}

async function list(
  redis: Redis,
  keys: Keys,
  filter: IncidentFilter,
  limit: number,
  cursor: string | null,
): Promise<IncidentPage> {
  const found: IncidentRecord[] = [];
  let position = cursor === null ? null : parseCursor(cursor);
  for (;;) {
    const rows = await rowsAfter(redis, narrowest(keys, filter), position, Math.max(limit, 20));
    const records = await read(
      redis,
      keys,
      rows.map((row) => row.id),
    );
    for (const [i, row] of rows.entries()) {
      if (found.length === limit) return { incidents: found, cursor: position && `${position.score}.${position.id}` };
      position = row;
      const one = records[i];
      if (one && matches(one, filter)) found.push(one);
    }
    if (rows.length === 0) return { incidents: found, cursor: null };
  }
}

/** The shortest list that holds every match; what it cannot tell is checked on the record. */
function narrowest(keys: Keys, filter: IncidentFilter): string {
  if (filter.userId !== undefined) return keys.incidentsByUser(filter.userId);
  if (filter.address !== undefined) return keys.incidentsByAddress(filter.address);
  return filter.status === undefined ? keys.incidentsAll() : keys.incidentsByStatus(filter.status);
}

function matches(one: IncidentRecord, filter: IncidentFilter): boolean {
  return (
    (filter.status === undefined || one.status === filter.status) &&
    (filter.userId === undefined || one.userId === filter.userId) &&
    (filter.address === undefined || one.sighting.address === filter.address)
  );
}

/** The next rows, newest first. Rows of one millisecond are in descending order of their case number. */
async function rowsAfter(redis: Redis, key: string, after: Position | null, count: number): Promise<Position[]> {
  const from = after === null ? '+inf' : after.score;
  for (let offset = 0; ; offset += count) {
    const flat = await redis.zrevrangebyscore(key, from, '-inf', 'WITHSCORES', 'LIMIT', offset, count);
    const rows: Position[] = [];
    for (let i = 0; i < flat.length; i += 2) rows.push({ id: flat[i] ?? '', score: flat[i + 1] ?? '' });
    const fresh = after === null ? rows : rows.filter((row) => row.score !== after.score || row.id < after.id);
    if (fresh.length > 0 || rows.length < count) return fresh;
  }
}

function parseCursor(cursor: string): Position {
  const [, score, id] = /^(\d{1,16})\.([0-9A-Z-]{1,20})$/.exec(cursor) ?? [];
  if (score === undefined || id === undefined) {
    throw new BouncerError('cursor_invalid', 'cursor: pass on the cursor of the page before, unchanged');
  }
  return { score, id };
}
