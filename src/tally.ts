import type { HistoryEntry } from './desk-ports.ts';
import { isBraked } from './domain/brake.ts';
import type { Incident } from './domain/incident.ts';
import type { Reason } from './domain/reasons.ts';
import type { Action, LoginEvent, Sighting } from './domain/types.ts';
import type { Tally } from './ports.ts';

/** One login as it was decided, for the user's history. */
export interface DecidedLogin extends HistoryEntry {
  readonly userId: string;
}

/** A login that is settled: what was decided, and whether it was done. */
export interface Settled {
  readonly login: Pick<LoginEvent, 'userId' | 'lid' | 'loginAtMs' | 'deviceId' | 'userAgent' | 'signal'>;
  readonly action: Action;
  readonly reason: Reason;
  readonly sighting: Sighting;
  /** Null for an allowed one. */
  readonly caseId: string | null;
  /** To be ended, but only observed: by the worker's mode, or by the brake. */
  readonly observed: boolean;
}

/**
 * What one batch counts: the running totals, the counts over time, whose sessions would have been ended, and each user's
 * history.
 *
 * A login counts in `logins`, `action:`, `reason:` and `why:` once, the first time; a recheck has totals of its own. Over time
 * it is `unchecked` first and `checked` when it could be decided. `suspect`: the ends that a comparison decided, done or not
 * (their users, by which the brake goes, it counts itself). Of a country that an address may be in, each counts.
 */
export class BatchCounts {
  readonly totals = new Map<string, number>();
  readonly observedUsers = new Set<string>();
  readonly history: DecidedLogin[] = [];
  readonly #series = new Map<string, number>();
  readonly #countries = new Map<string, number>();
  readonly #isRecheck: boolean;

  constructor(isRecheck: boolean) {
    this.#isRecheck = isRecheck;
  }

  tally(atMs: number): Tally {
    return { atMs, counts: this.#series, countries: this.#countries };
  }

  total(name: string): void {
    bump(this.totals, name);
  }

  /** Totals of a login that was decided, or that counts as unlocatable for the first time. */
  decided(action: Action, reason: Reason): void {
    const prefix = this.#isRecheck ? 'recheck:' : '';
    this.total(this.#isRecheck ? 'recheck:done' : reason === 'session_reused' ? 'signals' : 'logins');
    this.total(`${prefix}action:${action}`);
    this.total(`${prefix}reason:${reason}`);
  }

  /** Counts over time, and history. */
  settled(one: Settled): void {
    const { login, action, reason, sighting, observed } = one;
    const names = [...this.#checkedAs(one), ...doneAs(action, observed)];
    if (action === 'revoke' && isBraked(reason)) bump(this.#series, 'suspect');
    for (const name of names) {
      bump(this.#series, name);
      for (const country of countriesOf(sighting)) bump(this.#countries, `${country}:${name}`);
    }
    if (action === 'revoke' && observed) this.observedUsers.add(login.userId);
    if (login.signal === undefined && reason !== 'session_reused') this.history.push(historyOf(one));
  }

  /** A signal of a login that was counted before is no login. */
  #checkedAs({ reason, sighting }: Settled): string[] {
    if (reason === 'session_reused') return [];
    if (sighting.kind === 'located') return ['checked'];
    return this.#isRecheck ? [] : ['unchecked'];
  }
}

function doneAs(action: Action, observed: boolean): string[] {
  if (action === 'allow') return [];
  if (action === 'flag') return ['flagged'];
  return [observed ? 'would_revoke' : 'revoked'];
}

/** As it stands on record, from a run before this one. */
export function settledBefore(incident: Incident): Settled {
  const { id, userId, lid, loginAtMs, deviceId, userAgent, action, reason, sighting, outcome } = incident;
  const login = { userId, lid, loginAtMs, deviceId, userAgent };
  return { login, action, reason, sighting, caseId: id, observed: outcome === 'observed' };
}

function historyOf({ login, action, reason, sighting, caseId }: Settled): DecidedLogin {
  const { userId, lid, loginAtMs: atMs, deviceId, userAgent } = login;
  const { address } = sighting;
  const network = sighting.kind === 'located' ? sighting.network : null;
  return {
    userId,
    lid,
    atMs,
    address,
    network,
    countries: countriesOf(sighting),
    action,
    reason,
    caseId,
    deviceId,
    userAgent,
  };
}

const countriesOf = (sighting: Sighting): readonly string[] => (sighting.kind === 'located' ? sighting.candidates : []);

function bump(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
