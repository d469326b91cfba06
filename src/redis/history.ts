import type { Redis } from 'ioredis';
import type { History, HistoryEntry } from '../desk-ports.ts';
import type { Reason } from '../domain/reasons.ts';
import type { Action } from '../domain/types.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const add = loadScript('history-n');

/** Logins kept of one user. */
export const HISTORY_KEPT = 100;

/** There are many such values: untrusted text is cut again here. */
const MAX_USER_AGENT = 200;

/** Without names, the login id first: the script finds an entry by it. Zeros stand for what is missing at the end. */
type Wire = [
  lid: string,
  atMs: number,
  action: Action,
  reason: Reason,
  countries: string,
  address: string | null,
  network: string | null,
  caseId: string | 0,
  deviceId: string | 0,
  userAgent: string | 0,
];

/** One login of one user. */
export interface HistoryRow extends HistoryEntry {
  readonly userId: string;
}

/**
 * A list of entries a user. It lies where the user's baseline does, so that the histories of a whole batch are one command.
 */
export function redisHistory(
  redis: Redis,
  keys: Keys,
  keepMs: number,
): History & {
  /** Of any users. `repeated`: they may be there already; then each takes the place of the one before. */
  addAll(rows: readonly HistoryRow[], repeated: boolean): Promise<void>;
} {
  const addAll = async (rows: readonly HistoryRow[], repeated: boolean): Promise<void> => {
    if (rows.length === 0) return;
    const where = rows.map(({ userId }) => keys.history(userId));
    const args = [String(keepMs), String(HISTORY_KEPT), repeated ? '1' : '0', ...rows.map(encode)];
    await runScript(redis, add, where, args);
  };
  return {
    addAll,
    add: (userId, entries) =>
      addAll(
        entries.map((entry) => ({ ...entry, userId })),
        true,
      ),
    async list(userId, limit) {
      if (limit < 1) return [];
      // They lie in the order in which they were told, which a late job may have mixed.
      const rows = (await redis.lrange(keys.history(userId), 0, -1)).map(decode);
      return rows.sort((a, b) => b.atMs - a.atMs).slice(0, limit);
    },
  };
}

function encode(one: HistoryEntry): string {
  const { lid, atMs, action, reason, countries, address, network, caseId, deviceId, userAgent } = one;
  const wire: Wire = [
    lid,
    atMs,
    action,
    reason,
    countries.join(','),
    address,
    network,
    caseId ?? 0,
    deviceId ?? 0,
    userAgent?.slice(0, MAX_USER_AGENT) ?? 0,
  ];
  return JSON.stringify(wire);
}

function decode(json: string): HistoryEntry {
  const [lid, atMs, action, reason, countries, address, network, caseId, deviceId, userAgent] = JSON.parse(
    json,
  ) as Wire;
  return {
    lid,
    atMs,
    address,
    network,
    countries: countries === '' ? [] : countries.split(','),
    action,
    reason,
    caseId: caseId === 0 ? null : caseId,
    deviceId: deviceId === 0 ? undefined : deviceId,
    userAgent: userAgent === 0 ? undefined : userAgent,
  };
}
