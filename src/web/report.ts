import { parseAddress } from '../domain/address.ts';
import type { AddressProblem, LoginEvent } from '../domain/types.ts';
import { loginId, sessionHandle } from './handle.ts';

/** One login, for `reportLogin`. */
export interface LoginReport {
  /** The application's own id of the user: 1 to 256 characters, or a whole number (up to 2^53 - 1). */
  readonly userId: string | number;
  /** The new session's id. It stays in this process: only its hash goes on. */
  readonly sessionId: string;
  /** The client's address (see `bouncer.clientAddress`); null when it is not known. */
  readonly address: string | null;
  readonly userAgent?: string | undefined;
  /** The application's own id of the device. At most 128 characters are kept; what is no string is left out. */
  readonly deviceId?: string | undefined;
  /** When the user authenticated, milliseconds since the epoch. Default now, also for what is no such number. */
  readonly loginAtMs?: number | undefined;
  /** Default: a new random one. Reporting the same lid again is harmless. */
  readonly lid?: string | undefined;
  /**
   * Put this login on the user's list of sessions (`bouncer.sessions`). `bouncer.login` always does; here it costs a second
   * command, and is of use only where the session is in a store of ours. Default false.
   */
  readonly list?: boolean | undefined;
}

export interface LoginResult {
  /** The id of this login. */
  readonly lid: string;
  /**
   * `queued`: durably. `pending`: in memory, sent as soon as Redis answers. `dropped`: will not be checked (counted and
   * logged). `rejected`: the report was not valid, see `field`.
   */
  readonly status: 'queued' | 'pending' | 'dropped' | 'rejected';
  /** With `rejected`: the field that was wrong. */
  readonly field?: string | undefined;
  /** `login` only: is the new session stored? False while Redis is away: the user is not logged in. */
  readonly saved?: boolean | undefined;
}

export interface LoginOptions {
  readonly userId: string | number;
  /** Put into the new session before it is first saved, e.g. `{ userId }`. */
  readonly data?: Readonly<Record<string, unknown>> | undefined;
  readonly deviceId?: string | undefined;
}

/**
 * Here the session id ends: what comes out holds its hash. Not checked yet: `userId`, `sessionId` and `lid` may be wrong, and
 * then the report is rejected. Nothing else is worth an unchecked login, and some of it is the client's: it is cut or left out.
 */
export function eventOf(report: LoginReport, nowMs: number, problem?: AddressProblem): Partial<LoginEvent> | null {
  if (typeof report !== 'object' || report === null) return null;
  const { sessionId, address, userAgent, deviceId, loginAtMs, lid, list } = report;
  const userId = userIdOf(report.userId);
  return {
    // It tells its user, listed or not: who ends all of the user's logins means this one, too.
    lid: lid ?? loginId(userId),
    handle: typeof sessionId === 'string' && sessionId !== '' ? sessionHandle(sessionId) : '',
    userId,
    ...locatable(address, problem),
    loginAtMs: isTime(loginAtMs) ? loginAtMs : nowMs,
    ...(typeof userAgent === 'string' ? { userAgent: userAgent.slice(0, 512) } : {}),
    ...(typeof deviceId === 'string' ? { deviceId: deviceId.slice(0, 128) } : {}),
    ...(list === true ? { listed: true } : {}),
  };
}

/** '' for nobody. NaN is, and beyond the safe integers two users would share one id. */
function userIdOf(userId: unknown): string {
  if (typeof userId === 'number') return Number.isSafeInteger(userId) ? String(userId) : '';
  return typeof userId === 'string' ? userId : '';
}

/** Milliseconds since the epoch have 13 digits, from 2001 on; seconds have fewer. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && String(value).length === 13 && value > 0;
}

/** An address that is none is not an error: the login is queued, and counted as `unlocatable`. Its text goes no further. */
function locatable(
  address: unknown,
  problem: AddressProblem = 'no_address',
): Pick<LoginEvent, 'address' | 'addressProblem'> {
  if (address === null || address === undefined) return { address: null, addressProblem: problem };
  const parsed = parseAddress(address);
  return parsed.ok ? { address: parsed.ip } : { address: null, addressProblem: 'invalid_address' };
}
