import type { Redis } from 'ioredis';
import type { Audit, AuditEntry } from '../ports.ts';
import { type Keys, userTag } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const noteScript = loadScript('note-2');
const triesScript = loadScript('tries-1');

/** About so many entries are kept, the newest ones. */
const KEPT = 100_000;
/** Of one case; as long as the incident is by default. */
const KEPT_OF_CASE = 200;
const KEPT_OF_CASE_MS = 365 * 86_400_000;
/** For scripts that write an entry about a case. */
export const AUDIT_BOUNDS: readonly string[] = [KEPT, KEPT_OF_CASE, KEPT_OF_CASE_MS].map(String);
/** Of a walk through all of it. */
const AT_ONCE = 500;
/** Entries from before cases had a list: so many of the newest are looked through. */
const LOOKED_AT = 300;

/** Of one user's acts about themselves: whoever logs in and out all day must not push out what others did. */
export const OWN_ACTS_A_DAY = 100;
const DAY_MS = 86_400_000;

type Row = [id: string, fields: string[]];

/** Who ended which sessions, when and why: a stream, because nothing in it is ever changed. */
export function redisAudit(redis: Redis, keys: Keys): Audit {
  const add = async (entry: AuditEntry): Promise<unknown> => {
    if (isOwnAct(entry) && (await ownActs(entry.by)) > OWN_ACTS_A_DAY) return;
    const json = JSON.stringify(entry);
    if (entry.caseId === undefined) return redis.xadd(keys.audit(), 'MAXLEN', '~', KEPT, '*', 'entry', json);
    return runScript(redis, noteScript, [keys.audit(), keys.auditOfCase(entry.caseId)], [json, ...AUDIT_BOUNDS]);
  };
  const ownActs = (userId: string) =>
    runScript(redis, triesScript, [keys.auditOwn(userTag(userId))], [String(DAY_MS)]) as Promise<number>;
  const newest = async (limit: number) => (await redis.xrevrange(keys.audit(), '+', '-', 'COUNT', limit)) as Row[];
  return {
    async add(entries) {
      await Promise.all(entries.map(add));
    },
    list: async (limit) => (await newest(limit)).map(entryOf),
    async ofCase(caseId) {
      // Only ids are kept there: what an entry says is in the audit alone, where it may be pseudonymised.
      const ids = await redis.lrange(keys.auditOfCase(caseId), 0, -1);
      const rows = await Promise.all(ids.map((id) => redis.xrange(keys.audit(), id, id) as Promise<Row[]>));
      const listed = rows.flat();
      const others = (await newest(LOOKED_AT)).filter((row) => entryOf(row).caseId === caseId && !ids.includes(row[0]));
      return [...listed.reverse(), ...others].map(entryOf).sort((a, b) => b.atMs - a.atMs);
    },
    async *pages() {
      for (let before = '+'; ; ) {
        const rows = (await redis.xrevrange(keys.audit(), before, '-', 'COUNT', AT_ONCE)) as Row[];
        const last = rows.at(-1);
        if (last === undefined) return;
        yield rows.map(entryOf);
        before = `(${last[0]}`;
      }
    },
  };
}

/** By a user, about themselves. */
const isOwnAct = ({ by, userId, caseId }: AuditEntry): boolean => by === userId && caseId === undefined;

function entryOf([, [, json = '']]: Row): AuditEntry {
  return JSON.parse(json) as AuditEntry;
}
