/** Signing in with an account of the configuration: slow to guess, and the same answer whatever was wrong. */

import type { Actor, Attempts, Desk } from '../desk-ports.ts';
import { networkOf, parseAddress } from '../domain/address.ts';
import type { Clock, Log } from '../ports.ts';
import type { SignInOutcome } from './env.ts';
import { type Account, verifyPassword } from './password.ts';

export interface Doorman {
  /** `address`: the client's, or null. */
  check(name: string, password: string, address: string | null): Promise<SignInOutcome>;
  /** Of somebody who is signed in. `session`: what stands for theirs, so that nobody else uses its tries up. */
  confirm(
    name: string,
    password: string,
    from: { readonly session: string; readonly address: string | null },
  ): Promise<SignInOutcome>;
}

export interface DoormanDeps {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly attempts: Attempts;
  readonly desk: Pick<Desk, 'note'>;
  readonly clock: Clock;
  readonly log: Log;
}

const WINDOW_MS = 15 * 60_000;
const DAY_MS = 86_400_000;
/** An address from which somebody signed in well is theirs for so long. */
const KNOWN_MS = 30 * DAY_MS;
/**
 * One account from one address; all accounts from one address; one account from all addresses from which it was never signed
 * in to well; one session that asks for the password again. So whoever guesses from elsewhere locks nobody out of their desk.
 */
const MOST = { pair: 5, address: 30, account: 50, session: 5 } as const;

export function doorman(deps: DoormanDeps): Doorman {
  const { attempts } = deps;
  return {
    async check(name, password, address) {
      const place = placeOf(address);
      const [pair, known] = [`pair:${place}:${name}`, `known:${place}:${name}`];
      const others = [
        { name: `address:${place}`, most: MOST.address },
        ...((await attempts.knows(known)) ? [] : [{ name: `account:${name}`, most: MOST.account }]),
      ];
      const outcome = await ask(deps, [{ name: pair, most: MOST.pair }, ...others], { name, password, address });
      if (outcome.kind !== 'ok') return outcome;
      // Only refusals count: a team behind one address signs in as often as it likes.
      await attempts.refund(others.map((one) => one.name));
      await attempts.forgive([pair]);
      await attempts.remember(known, KNOWN_MS);
      return outcome;
    },
    async confirm(name, password, { session, address }) {
      const own = `session:${session}`;
      const outcome = await ask(deps, [{ name: own, most: MOST.session }], { name, password, address });
      if (outcome.kind === 'ok') await attempts.forgive([own]);
      return outcome;
    },
  };
}

interface Given {
  readonly name: string;
  readonly password: string;
  readonly address: string | null;
}

/** Counted before the password is looked at: tries that arrive together are limited too. */
async function ask(
  { accounts, attempts, desk, log }: DoormanDeps,
  limits: Parameters<Attempts['take']>[0],
  { name, password, address }: Given,
): Promise<SignInOutcome> {
  const waitMs = await attempts.take(limits, WINDOW_MS);
  if (waitMs !== null) return { kind: 'limited', retryAfterSeconds: Math.ceil(waitMs / 1000) };
  const account = accounts.get(name);
  if ((await verifyPassword(password, account, accounts)) && account !== undefined) {
    return { kind: 'ok', actor: { by: account.name, role: account.role } };
  }
  log.warn({ event: 'console_sign_in_refused', known: account !== undefined }, 'A sign-in at the console failed');
  // A name that is none of ours may be a password in the wrong field: it is not kept.
  if (account === undefined) return { kind: 'refused' };
  const times = await attempts.count(`refused:${name}`, DAY_MS);
  if (isNoted(times)) await desk.note(refusedEntry(account.name, address ?? 'unknown', times));
  return { kind: 'refused' };
}

/** The first, the tenth, the hundredth ... of a day: whoever guesses must not push everything else out of the audit. */
function isNoted(times: number): boolean {
  return /^10*$/.test(String(times));
}

function refusedEntry(by: string, from: string, times: number) {
  const told = entry('sign_in_refused', by, from);
  return times === 1 ? told : { ...told, outcome: `refused, ${times} times in a day` };
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
