import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type {
  EndReason,
  Entrance,
  GuardedSessions,
  LiveHead,
  LoadedSession,
  Move,
  Tombstone,
  WriteOutcome,
} from '../ports.ts';
import { arrivals } from './arrivals.ts';
import type { Keys } from './keys.ts';
import { endMarkOf, enrolmentArgs, loginKeys } from './logins.ts';
import { logoutAtOnce } from './logout.ts';
import { loadScript, runScript, type Script } from './script.ts';
import { runAcrossSlots } from './slots.ts';

/**
 * A session's own key holds either a live session or the tombstone of one that ended, both JSON objects whose first
 * member is the mark. So the load stays one plain GET, every write can be guarded by a script on that one key, and a
 * stock express-session app that meets a tombstone reads "no user".
 *
 * live:     {"__bouncer":{"k":"live","r":<renewed>,"e":<absolute end>,"b":"<birth>","l":"<lid>","p":"<predecessor>"},...}
 *           where there is no predecessor, "p" is 43 dashes, or 30 dashes and the time (13 digits) of the id's first use
 * moved:    {"__bouncer":{"k":"moved","u":"<first use>","at":<ms>,"l":"<lid>","s":"<handles>","f":"<sealed ids>"},"cookie":{}}
 * logout:   {"__bouncer":{"k":"logout","at":<ms>,"l":"<lid>","s":"<handles>"},"cookie":{}}
 * revoked:  {"__bouncer":{"k":"revoked","at":<ms>,"l":"<lid>","was":...,"reason":...,"case":...,"t":...,"e":...,"s":...,
 *           "kept":"<the whole value that stood there, as a string>"},"cookie":{}}     t: its time to live then, e: its absolute end
 *
 * The scripts match these bytes: field order, spelling and widths must not change without them.
 */
export const MARK = '__bouncer';
const MARK_PREFIX = `{"${MARK}":{`;
const LIVE_PREFIX = `${MARK_PREFIX}"k":"live",`;

/** No handle begins so. The field is always as wide as a handle: scripts overwrite it in place. */
const NO_PREDECESSOR = '-'.repeat(30);
const NEVER_MOVED = '-'.repeat(43);

const scripts = {
  save: loadScript('save-1'),
  touch: loadScript('touch-1'),
  destroy: loadScript('destroy-1'),
  move: loadScript('move-1'),
  enter: loadScript('enter-n'),
  revoke: loadScript('revoke-1'),
};

export function guardedSessions(redis: Redis, keys: Keys): GuardedSessions {
  const run = (script: Script, handle: string, ...args: string[]) =>
    runScript(redis, script, [keys.session(handle)], args);

  const logout: GuardedSessions['logout'] = async (handle, nowMs, ttlMs) => {
    const [kind, successors, lid] = await logOut(redis, keys, handle, nowMs, ttlMs);
    await Promise.all(words(successors).map((one) => logout(one, nowMs, ttlMs)));
    return { outcome: kind, lid };
  };

  const move = async (how: Move): Promise<WriteOutcome> => {
    const { from, to, tombstoneTtlMs } = how;
    const reply = await run(scripts.move, from, ...moveArgs(how));
    const [kind, lid = '', reason = '', caseId = '', at = ''] = reply as string[];
    // An app that ignores the refusal and saves the new id all the same must find it dead.
    if (kind === 'revoked') await run(scripts.revoke, to, at, lid, reason, caseId, whole(tombstoneTtlMs), '0');
    return kind as WriteOutcome;
  };

  const load = async (handle: string) => parse(await redis.get(keys.session(handle)));

  return {
    load,
    save: async (handle, first, head, data, ttlMs) =>
      (await run(
        scripts.save,
        handle,
        first ? '1' : '0',
        head.birth,
        serialise(head, data),
        whole(ttlMs),
      )) as WriteOutcome,
    touch: async (handle, nowMs, ttlMs) =>
      (await run(scripts.touch, handle, whole(nowMs), whole(ttlMs))) as WriteOutcome,
    logout,
    destroy: async (...how) => (await logout(...how)).outcome,
    move,
    ...arrivals(redis, keys, load),
    enter: (entrance) => enter(redis, keys, entrance),
    logoutAtOnce: logoutAtOnce(redis, keys),
    async bury(handle, lid, mark, tombstoneTtlMs) {
      await endOne(redis, keys, handle, { lid, ...mark, tombstoneTtlMs });
    },
  };
}

function moveArgs({ to, sealedId, atMs, tombstoneTtlMs, onlyOnce = false, ifStill }: Move): string[] {
  const still = ifStill === undefined ? '-' : dataHash(ifStill);
  return [whole(atMs), to, sealedId ?? '-', whole(tombstoneTtlMs), onlyOnce ? '1' : '0', still];
}

/** Of the data in a stored value: all behind the head, which a renewal changes. */
function dataHash(value: string): string {
  return createHash('sha1')
    .update(value.slice(value.indexOf('}') + 1))
    .digest('hex');
}

async function enter(redis: Redis, keys: Keys, entrance: Entrance): Promise<WriteOutcome | null> {
  const { enrolment, head, data, ttlMs, move, tombstoneTtlMs } = entrance;
  const { lid, handle } = enrolment;
  const where = [...loginKeys(keys, lid), keys.session(handle), ...(move === null ? [] : [keys.session(move.from)])];
  const reply = await runAcrossSlots(redis, scripts.enter, where, [
    ...enrolmentArgs(enrolment),
    head.birth,
    serialise(head, data),
    whole(ttlMs),
    move?.sealedId ?? '-',
    whole(move?.tombstoneTtlMs ?? tombstoneTtlMs),
    move?.onlyOnce ? '1' : '0',
    move?.ifStill === undefined ? '-' : dataHash(move.ifStill),
  ]);
  if (reply === null) return null;
  const [kind, ...rest] = reply as [WriteOutcome | 'ended', ...string[]];
  if (kind === 'ended') {
    const mark = endMarkOf(rest[0] ?? '', rest[1] ?? '0');
    if (mark !== null) await endOne(redis, keys, handle, { lid, ...mark, tombstoneTtlMs });
    return 'revoked';
  }
  // An app that ignores the refusal and saves the new id all the same must find it dead.
  if (kind === 'revoked') {
    const [endedLid = '', reason = '', caseId = '', at = ''] = rest;
    await runScript(
      redis,
      scripts.revoke,
      [keys.session(handle)],
      [at, endedLid, reason, caseId, whole(tombstoneTtlMs), '0'],
    );
  }
  return kind;
}

export interface EndOneResult {
  readonly outcome: 'revoked' | 'not_found' | 'already_revoked' | 'other_login';
  readonly atMs: number;
  /** The handles that this one moved to. */
  readonly successors: readonly string[];
  /** With `other_login`: whose session stands there. */
  readonly otherLid?: string | undefined;
}

/** Puts the tombstone of an ended session at one handle. `afterMs`: when an earlier end of this login was lifted. */
export async function endOne(
  redis: Redis,
  keys: Keys,
  handle: string,
  end: { lid: string; reason: EndReason; caseId: string; atMs: number; tombstoneTtlMs: number; afterMs?: number },
): Promise<EndOneResult> {
  const { afterMs = 0, atMs, tombstoneTtlMs } = end;
  // Of a login that its user has ended nothing is kept to be given back, and nobody is told of a thief.
  if (end.reason === 'logout') {
    const [, successors] = await logOut(redis, keys, handle, atMs, tombstoneTtlMs);
    return { outcome: 'revoked', atMs, successors: words(successors) };
  }
  const args = [whole(atMs), end.lid, end.reason, end.caseId, whole(tombstoneTtlMs), String(afterMs)];
  const reply = await runScript(redis, scripts.revoke, [keys.session(handle)], args);
  const [outcome, at, successors, otherLid] = reply as [EndOneResult['outcome'], string, string, string?];
  return { outcome, atMs: Number(at), successors: words(successors), otherLid };
}

async function logOut(redis: Redis, keys: Keys, handle: string, atMs: number, ttlMs: number) {
  const reply = await runScript(redis, scripts.destroy, [keys.session(handle)], [whole(atMs), whole(ttlMs)]);
  return reply as [kind: WriteOutcome, successors: string, lid: string];
}

function words(text: string): string[] {
  return text === '' ? [] : text.split(' ');
}

function whole(ms: number): string {
  return String(Math.max(1, Math.trunc(ms)));
}

/** `data` must not have a member named like the mark (the store refuses that before). */
function serialise(head: LiveHead, data: object): string {
  const body = JSON.stringify(data);
  const front = `${LIVE_PREFIX}"r":${head.renewedAtMs},"e":${Math.trunc(head.endsAtMs)},"b":"${head.birth}","l":"${head.lid}","p":"${head.movedFrom || firstUse(head)}"}`;
  return body === '{}' ? `${front}}` : `${front},${body.slice(1)}`;
}

function firstUse({ firstUsedAtMs = 0 }: LiveHead): string {
  return firstUsedAtMs > 0 ? NO_PREDECESSOR + whole(firstUsedAtMs).padStart(13, '0') : NEVER_MOVED;
}

interface WireHead {
  k: string;
  r: number;
  e: number;
  b: string;
  l: string;
  p: string;
  at: number;
  u: string;
  s: string;
  f: string;
  reason: EndReason;
  case: string;
}

/** A value that is not ours counts as absent: such an id was not issued by this store. */
function parse(value: string | null): LoadedSession {
  if (value === null || !value.startsWith(MARK_PREFIX)) return { kind: 'absent' };
  const { [MARK]: head, ...data } = JSON.parse(value) as { [MARK]: WireHead } & Record<string, unknown>;
  if (!value.startsWith(LIVE_PREFIX)) return { kind: 'tombstone', tombstone: tombstoneOf(head) };
  const isFirst = !head.p.startsWith(NO_PREDECESSOR);
  const firstUsedAtMs = isFirst ? 0 : Number(head.p.slice(NO_PREDECESSOR.length)) || 0;
  const ours = { renewedAtMs: head.r, endsAtMs: head.e, birth: head.b, lid: head.l };
  return {
    kind: 'live',
    head: { ...ours, movedFrom: isFirst ? head.p : '', firstUsedAtMs },
    data,
    text: value,
  };
}

function tombstoneOf({ k: kind, at: atMs, l: lid, ...head }: WireHead): Tombstone {
  if (kind === 'revoked') return { kind, atMs, lid, reason: head.reason, caseId: head.case };
  if (kind !== 'moved') return { kind: 'logout', atMs, lid };
  const sealed = words(head.f);
  const successors = words(head.s).map((handle, i) => {
    const sealedId = sealed[i] ?? '-';
    return { handle, sealedId: sealedId === '-' ? null : sealedId };
  });
  return { kind, atMs, lid, successorUsedAtMs: Number(head.u), successors };
}
