/** Signing in with an account of the configuration: slow to guess, and the same answer whatever was wrong. */

import type { Actor, Attempts, Desk } from '../desk-ports.ts';
import { networkOf, parseAddress } from '../domain/address.ts';
import type { Clock, Log } from '../ports.ts';
import type { SignInOutcome } from './env.ts';
import { type Account, verifyPassword } from './password.ts';

export interface Doorman {
  /** `address`: the client's, or null. */
  check(name: string, password: string, address: string | null): Promise<SignInOutcome>;
}

export interface DoormanDeps {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly attempts: Attempts;
  readonly desk: Pick<Desk, 'note'>;
  readonly clock: Clock;
  readonly log: Log;
}

const WINDOW_MS = 15 * 60_000;
/** One account from one address; all accounts from one address; one account from anywhere (so that nobody locks others out soon). */
const MOST = { pair: 5, address: 30, account: 50 } as const;

export function doorman({ accounts, attempts, desk, log }: DoormanDeps): Doorman {
  return {
    async check(name, password, address) {
      const from = address ?? 'unknown';
      const place = placeOf(address);
      const pair = `pair:${place}:${name}`;
      const limits = [
        { name: pair, most: MOST.pair },
        { name: `address:${place}`, most: MOST.address },
        { name: `account:${name}`, most: MOST.account },
      ];
      const waitMs = await attempts.take(limits, WINDOW_MS);
      if (waitMs !== null) return { kind: 'limited', retryAfterSeconds: Math.ceil(waitMs / 1000) };
      const account = accounts.get(name);
      if (!(await verifyPassword(password, account, accounts)) || account === undefined) {
        log.warn({ event: 'console_sign_in_refused', known: account !== undefined }, 'A sign-in at the console failed');
        // A name that is none of ours may be a password in the wrong field: it is not kept.
        if (account !== undefined) await desk.note(entry('sign_in_refused', account.name, from));
        return { kind: 'refused' };
      }
      await attempts.forgive([pair]);
      return { kind: 'ok', actor: { by: account.name, role: account.role } };
    },
  };
}

/** Who has one address of IPv6 mostly has very many: they count as one. */
function placeOf(address: string | null): string {
  const parsed = parseAddress(address);
  if (!parsed.ok) return 'unknown';
  return parsed.family === 6 ? networkOf(parsed.ip, 6) : parsed.ip;
}

/** For the audit. */
export function entry(what: 'sign_in' | 'sign_in_refused' | 'sign_out', by: Actor['by'], from: string) {
  const outcome = what === 'sign_in_refused' ? 'refused' : 'done';
  return { what, by, why: `from ${from}`, userId: null, lid: null, outcome } as const;
}
