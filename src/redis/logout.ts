import type { Redis } from 'ioredis';
import type { GuardedSessions, WriteOutcome } from '../ports.ts';
import type { Keys } from './keys.ts';
import { parseMark } from './logins.ts';
import { publishRevoked } from './publisher.ts';
import { loadScript } from './script.ts';
import { runAcrossSlots } from './slots.ts';

const script = loadScript('logout-4');

/** Other ids of the login that the script ends while nobody else is served: some milliseconds. */
const MAX_IDS = 2000;

/** A logout in one step, for a single server. What it leaves of a login with very many ids, the caller ends. */
export function logoutAtOnce(redis: Redis, keys: Keys, maxIds = MAX_IDS): NonNullable<GuardedSessions['logoutAtOnce']> {
  return async ({ handle, lid, nowMs, tombstoneTtlMs, markTtlMs }) => {
    const where = [keys.session(handle), keys.loginEnd(lid), keys.loginIds(lid), keys.session('')];
    const args = [whole(nowMs), whole(tombstoneTtlMs), lid, whole(markTtlMs), String(maxIds)];
    const reply = await runAcrossSlots(redis, script, where, args);
    if (reply === null) return null;
    const [outcome, found, mark, left, handles] = reply as [WriteOutcome | 'other', string, string, string, string[]];
    if (outcome === 'other') return { outcome, lid: found, isAll: true };
    const ended = mark === '' ? null : parseMark(mark);
    // After the commit, as in "ender": a user without the right to publish is logged out all the same.
    if (ended !== null && left === '') {
      const told = { lid, handles: [...new Set([handle, ...handles])], ...ended, repeat: false };
      await publishRevoked(redis, keys, told).catch(() => {});
    }
    return { outcome, lid: found, isAll: left === '' };
  };
}

function whole(ms: number): string {
  return String(Math.max(1, Math.ceil(ms)));
}
