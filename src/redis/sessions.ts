import type { Redis } from 'ioredis';
import type { RevokeOutcome } from '../domain/incident.ts';
import type { Reason } from '../domain/reasons.ts';
import type {
  GuardedSessions,
  LiveHead,
  LoadedSession,
  Revocation,
  RevokeResult,
  Sessions,
  WriteOutcome,
} from '../ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

/**
 * A session's own key holds either a live session or the tombstone of one that ended, both JSON objects whose first
 * member is the mark. So the load stays one plain GET, every write can be guarded by a script on that one key, and a
 * stock express-session app that meets a tombstone reads "no user".
 *
 * live:      {"__bouncer":{"k":"live","r":<renewed>,"e":<absolute end>,"b":"<birth>","l":"<lid>"},"cookie":{...},...}
 * tombstone: {"__bouncer":{"k":"revoked","at":<ms>,"l":"<lid>","was":...,"reason":...,"case":...},"cookie":{}}
 *
 * The scripts match these bytes: field order and spelling must not change without them.
 */
export const MARK = '__bouncer';
const LIVE_PREFIX = `{"${MARK}":{"k":"live",`;
const MARK_PREFIX = `{"${MARK}":{`;

const saveScript = loadScript('save-1');
const touchScript = loadScript('touch-1');
const destroyScript = loadScript('destroy-1');
const revokeScript = loadScript('revoke-1');

export function guardedSessions(redis: Redis, keys: Keys): GuardedSessions {
  const run = async (script: typeof saveScript, handle: string, args: string[]): Promise<WriteOutcome> =>
    (await runScript(redis, script, [keys.session(handle)], args)) as WriteOutcome;
  return {
    load: async (handle) => parse(await redis.get(keys.session(handle))),
    save: (handle, first, head, data, ttlMs) =>
      run(saveScript, handle, [first ? '1' : '0', head.birth, serialise(head, data), whole(ttlMs)]),
    touch: (handle, nowMs, ttlMs) => run(touchScript, handle, [whole(nowMs), whole(ttlMs)]),
    destroy: (handle, nowMs, tombstoneTtlMs) => run(destroyScript, handle, [whole(nowMs), whole(tombstoneTtlMs)]),
  };
}

/** The worker's side: ends sessions. `tombstoneTtlMs` is the least that a tombstone lives. */
export function redisSessions(redis: Redis, keys: Keys, tombstoneTtlMs: number): Sessions {
  const revoke = async (one: Revocation): Promise<RevokeResult | Error> => {
    try {
      const args = [whole(one.atMs), one.lid, one.reason, one.caseId, whole(tombstoneTtlMs)];
      const [outcome, at] = (await runScript(redis, revokeScript, [keys.session(one.handle)], args)) as [
        string,
        string,
      ];
      return { outcome: outcome as RevokeOutcome, atMs: Number(at) };
    } catch (error) {
      return error instanceof Error ? error : new Error('revoke failed');
    }
  };
  return { revoke: (revocations) => Promise.all(revocations.map(revoke)) };
}

function whole(ms: number): string {
  return String(Math.max(1, Math.trunc(ms)));
}

/** `data` must not have a member named like the mark (the store refuses that before). */
function serialise(head: LiveHead, data: object): string {
  const body = JSON.stringify(data);
  const front = `{"${MARK}":{"k":"live","r":${head.renewedAtMs},"e":${head.endsAtMs},"b":"${head.birth}","l":"${head.lid}"}`;
  return body === '{}' ? `${front}}` : `${front},${body.slice(1)}`;
}

interface WireHead {
  k: string;
  r: number;
  e: number;
  b: string;
  l: string;
  at: number;
  reason: Reason;
  case: string;
}

/** A value that is not ours counts as absent: such an id was not issued by this store. */
function parse(value: string | null): LoadedSession {
  if (value === null || !value.startsWith(MARK_PREFIX)) return { kind: 'absent' };
  const { [MARK]: head, ...data } = JSON.parse(value) as { [MARK]: WireHead } & Record<string, unknown>;
  if (value.startsWith(LIVE_PREFIX)) {
    return { kind: 'live', head: { renewedAtMs: head.r, endsAtMs: head.e, birth: head.b, lid: head.l }, data };
  }
  const { k: kind, at: atMs, l: lid } = head;
  if (kind === 'revoked') {
    return { kind: 'tombstone', tombstone: { kind, atMs, lid, reason: head.reason, caseId: head.case } };
  }
  return { kind: 'tombstone', tombstone: { kind: kind === 'moved' ? 'moved' : 'logout', atMs, lid } };
}
