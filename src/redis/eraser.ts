import type { Redis } from 'ioredis';
import type { Eraser, IncidentRewrite, KnownLogin } from '../desk-ports.ts';
import type { Incident, IncidentStatus } from '../domain/incident.ts';
import { listsOf } from './incident-lists.ts';
import { type Keys, tagOf, userTag } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const keptScript = loadScript('forget-kept-1');
const rewriteIncident = loadScript('rewrite-incident-n');

const CHANGED = -1;
const UNKNOWN = -2;

/** The re-checks of an end find the PHP sessions by this index: the last one comes after ten minutes, and is tried for one more. */
const PHP_IDS_SECONDS = 900;

export function redisEraser(redis: Redis, keys: Keys): Eraser {
  return {
    async erase(userId, logins) {
      const tag = userTag(userId);
      // Some are known by an entry of the audit that only mentions the user: what lies behind those is somebody else's.
      const own = logins.filter(({ lid, isOwn }) => isOwn || tagOf(lid) === tag);
      for (const login of own) await forgetKept(redis, keys, login);
      for (const { lid } of own) {
        await redis.expire(keys.phpIds(lid), PHP_IDS_SECONDS);
        await redis.unlink(keys.phpAbsent(lid));
      }
      const sessions = await redis.zcard(keys.userLogins(tag));
      const history = await redis.llen(keys.history(userId));
      const baseline = await redis.unlink(keys.baseline(userId));
      await redis.unlink(keys.history(userId));
      // In the user's own slot: on a Cluster no command may name both.
      await redis.unlink(keys.userLogins(tag), keys.userEntries(tag));
      await redis.unlink(keys.questions(tag), keys.auditOwn(tag));
      await redis.zrem(keys.sweepUsers(), tag);
      return { baseline, history, sessions };
    },
    async rewrite(caseId, plan) {
      for (;;) {
        const [json, status] = await redis.hmget(keys.incident(caseId), 'json', 'status');
        if (!json || !status) return null;
        const before = JSON.parse(json) as Incident;
        const done = await write(redis, keys, before, status as IncidentStatus, plan(before, status as IncidentStatus));
        if (done === UNKNOWN) return null;
        if (done !== CHANGED) return done;
      }
    },
  };
}

/** Behind the tombstone of a revoked session lies what was in it, so that a person may give it back: nobody will. */
async function forgetKept(redis: Redis, keys: Keys, { lid, handle }: KnownLogin): Promise<void> {
  const handles = new Set(await redis.smembers(keys.loginIds(lid)));
  if (handle !== null) handles.add(handle);
  await Promise.all([...handles].map((one) => runScript(redis, keptScript, [keys.session(one)], [lid])));
}

async function write(
  redis: Redis,
  keys: Keys,
  before: Incident,
  status: IncidentStatus,
  { incident, closed, forgetPlace }: IncidentRewrite,
): Promise<number> {
  const old = listsOf(keys, before, status);
  const now = listsOf(keys, incident, closed?.status ?? status);
  const leaves = old.filter((list) => !now.includes(list));
  const caseId = before.id;
  const own = [keys.incident(caseId), keys.visits(caseId), keys.visitCounts(caseId), keys.visited()];
  const change = [JSON.stringify(incident), String(leaves.length), String(before.decidedAtMs), forgetPlace ? '1' : '0'];
  const answer = [closed?.status ?? '', closed?.by ?? '', String(closed?.atMs ?? '')];
  const args = [caseId, status, ...change, ...answer];
  return (await runScript(redis, rewriteIncident, [...own, ...leaves, ...now], args)) as number;
}
