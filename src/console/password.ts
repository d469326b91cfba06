/** Passwords of the console's own accounts: scrypt, with the cost that OWASP's cheat sheet names (N 2^15, r 8, p 3; 32 MiB). */

import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import type { Role } from '../desk-ports.ts';
import { isReservedName, RESERVED_NAMES } from '../domain/actors.ts';
import { BouncerError } from '../errors.ts';
import { isRole } from './access.ts';

const LOG_N = 15;
const R = 8;
const P = 3;
const KEY_BYTES = 32;
export const MIN_LENGTH = 12;
const MAX_LENGTH = 256;

/** `scrypt$15$8$3$<salt>$<key>`, base64url: no letter of it means anything to a shell in quotes, or in a list. */
const SHAPE = /^scrypt\$(\d{2})\$(\d{1,2})\$(\d{1,2})\$([\w-]{22,86})\$([\w-]{43,86})$/;

interface Hash {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly key: Buffer;
}

export interface Account {
  readonly name: string;
  readonly role: Role;
  readonly hash: Hash;
}

/** At least twelve letters; none is cut off or changed, but for two spellings of the same letter. */
export async function hashPassword(password: string): Promise<string> {
  const letters = [...password].length;
  if (letters < MIN_LENGTH || letters > MAX_LENGTH) {
    throw new BouncerError('option_invalid', `password: give ${MIN_LENGTH} to ${MAX_LENGTH} characters`);
  }
  const salt = randomBytes(16);
  const key = await derive(password, { logN: LOG_N, r: R, p: P, salt, key: Buffer.alloc(KEY_BYTES) });
  return ['scrypt', LOG_N, R, P, salt.toString('base64url'), key.toString('base64url')].join('$');
}

/** Null where the text is no hash of ours, or one that would cost too little or too much. */
export function parseHash(text: string): Hash | null {
  const found = SHAPE.exec(text);
  if (found === null) return null;
  const [logN = 0, r = 0, p = 0] = found.slice(1, 4).map(Number);
  const bytes = 128 * 2 ** logN * r;
  if (logN < 13 || logN > 20 || r < 1 || p < 1 || p > 16 || bytes > 256 * 1024 * 1024) return null;
  const [salt, key] = found.slice(4).map((part) => Buffer.from(part, 'base64url'));
  return salt === undefined || key === undefined ? null : { logN, r, p, salt, key };
}

/** `{ anna: 'admin:scrypt$...' }`, as the configuration has them. Throws `config_invalid`; never quotes a hash. */
export function accountsOf(given: Readonly<Record<string, string>>): ReadonlyMap<string, Account> {
  const accounts = Object.entries(given ?? {}).map(([name, said]) => {
    // Callers in JavaScript give what they like.
    const text = String(said);
    const colon = text.indexOf(':');
    const role = text.slice(0, Math.max(colon, 0));
    const hash = parseHash(text.slice(colon + 1));
    if (!/^[\w.@+-]{1,64}$/.test(name) || !isRole(role) || hash === null) {
      throw new BouncerError(
        'config_invalid',
        'consoleAccounts: give names with viewer:, analyst: or admin: and what `session-bouncer console hash-password` prints',
      );
    }
    if (isReservedName(name)) {
      const message = `consoleAccounts: ${RESERVED_NAMES.join(', ')} stand for machines in the audit; give the account another name`;
      throw new BouncerError('config_invalid', message);
    }
    return [name, { name, role, hash }] as const;
  });
  return new Map(accounts);
}

/** In a time that does not tell whether there is such an account: one that is not there costs what the others do. */
export async function verifyPassword(
  password: string,
  account: Account | undefined,
  accounts: ReadonlyMap<string, Account>,
): Promise<boolean> {
  const hash = account?.hash ?? nobodyLike(accounts);
  const key = await inTurn(() => derive(password, hash));
  return timingSafeEqual(key, hash.key) && account !== undefined;
}

function nobodyLike(accounts: ReadonlyMap<string, Account>): Hash {
  const [like] = accounts.values();
  const { logN = LOG_N, r = R, p = P } = like?.hash ?? {};
  return { logN, r, p, salt: randomBytes(16), key: randomBytes(KEY_BYTES) };
}

/** Each costs memory: so many at once, the others wait. */
const MOST_AT_ONCE = 2;
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= MOST_AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

function derive(password: string, { logN, r, p, salt, key }: Hash): Promise<Buffer> {
  const options: ScryptOptions = { N: 2 ** logN, r, p, maxmem: 2 * 128 * 2 ** logN * r };
  return new Promise((resolve, reject) => {
    scrypt(password.slice(0, 2 * MAX_LENGTH).normalize('NFKC'), salt, key.length, options, (error, made) =>
      error === null ? resolve(made) : reject(error),
    );
  });
}
