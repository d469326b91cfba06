import { BouncerError } from '../errors.ts';
import type { StockGuard } from './guard.ts';

export interface GuardClientOptions {
  /** The session store's own `prefix`. Keys that begin with it are its sessions and nothing else. Default `sess:`. */
  readonly prefix?: string | undefined;
}

/** One command of a client. Undefined: not about a session, the client's own answer counts. */
type Command = (args: readonly unknown[]) => unknown;
type Method = (...args: unknown[]) => unknown;
type Methods = Record<PropertyKey, Method>;

/**
 * A Redis client (ioredis, node-redis) in which session keys are guarded, for a stock connect-redis: its commands on
 * `prefix + session id` become ours, on our own connection, and the client never sees a session id. Every other key and
 * command goes to the client untouched.
 */
export function guardClient<T extends object>(client: T, guard: StockGuard, prefix: string): T {
  const commands = commandsOn(client as Methods, guard, prefix);
  const guarded = new Map<PropertyKey, { readonly of: unknown; readonly as: unknown }>();
  return new Proxy(client, {
    get(target, property) {
      // With the client itself as receiver: its private members know no proxy.
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function' || property === 'constructor') return value;
      const known = guarded.get(property);
      if (known?.of === value) return known.as;
      const method = value.bind(target) as Method;
      const command = typeof property === 'string' ? commands.get(property.toLowerCase()) : undefined;
      const as = command === undefined ? method : interceptor(command, method);
      guarded.set(property, { of: value, as });
      return as;
    },
    set: (target, property, value) => Reflect.set(target, property, value, target),
  });
}

function interceptor(command: Command, method: Method): Method {
  return (...args) => {
    const done = args.at(-1);
    const callback = typeof done === 'function' ? (done as (error: unknown, value?: unknown) => void) : null;
    const answer = command(callback === null ? args : args.slice(0, -1));
    if (answer === undefined) return method(...args);
    if (callback !== null && answer instanceof Promise) {
      answer.then((value) => callback(null, value), callback);
    }
    return answer;
  };
}

/** By the command's name in small letters: clients spell `setEx`, `setex` and `SETEX`. */
function commandsOn(client: Methods, guard: StockGuard, prefix: string): ReadonlyMap<string, Command> {
  const sessionOf = (key: unknown): string | null =>
    typeof key === 'string' && key.startsWith(prefix) ? key.slice(prefix.length) : null;
  const onOne =
    (act: (sessionId: string, args: readonly unknown[]) => Promise<unknown>): Command =>
    (args) => {
      const sessionId = sessionOf(args[0]);
      return sessionId === null ? undefined : act(sessionId, args);
    };
  const saved = async (sessionId: string, text: unknown, ttlMs: number | null) => {
    await guard.save(sessionId, String(text), ttlMs);
    return 'OK';
  };
  const renewed = async (sessionId: string, ttlMs: number | null) => {
    if (ttlMs !== null) await guard.touch(sessionId, ttlMs);
    return 1;
  };
  return new Map<string, Command>([
    ['get', onOne((sessionId) => guard.load(sessionId))],
    ['set', onOne((sessionId, [, text, ...how]) => saved(sessionId, text, ttlOf(how)))],
    ['setex', onOne((sessionId, [, ttl, text]) => saved(sessionId, text, ms(ttl, 1000)))],
    ['psetex', onOne((sessionId, [, ttl, text]) => saved(sessionId, text, ms(ttl, 1)))],
    ['expire', onOne((sessionId, [, ttl]) => renewed(sessionId, ms(ttl, 1000)))],
    ['pexpire', onOne((sessionId, [, ttl]) => renewed(sessionId, ms(ttl, 1)))],
    ['del', (args) => onMany(args, sessionOf, (keys) => endAll(keys, sessionOf, guard, client))],
    ['unlink', (args) => onMany(args, sessionOf, (keys) => endAll(keys, sessionOf, guard, client))],
    ['mget', (args) => onMany(args, sessionOf, (keys) => peekAll(keys, sessionOf, guard, client))],
    ['scan', ([, ...how]) => (namesSessions(how, prefix) ? Promise.reject(unsupported()) : undefined)],
    ['scaniterator', (how) => (namesSessions(how, prefix) ? refusedIterator() : undefined)],
    // A cluster's nodes are asked one by one when a store scans.
    ['nodeclient', (args) => nodeClient(client, args, guard, prefix)],
  ]);
}

type SessionOf = (key: unknown) => string | null;

/** `del(a, b)` and `del([a, b])`. */
function onMany(
  args: readonly unknown[],
  sessionOf: SessionOf,
  act: (keys: readonly unknown[]) => Promise<unknown>,
): Promise<unknown> | undefined {
  const keys = args.flat();
  return keys.some((key) => sessionOf(key) !== null) ? act(keys) : undefined;
}

async function endAll(keys: readonly unknown[], sessionOf: SessionOf, guard: StockGuard, client: Methods) {
  const others = keys.filter((key) => sessionOf(key) === null);
  const ended = keys.flatMap((key) => sessionOf(key) ?? []).map((sessionId) => guard.end(sessionId));
  const count = others.length > 0 ? Number(await client.del?.(others)) : 0;
  return count + (await Promise.all(ended)).length;
}

function peekAll(keys: readonly unknown[], sessionOf: SessionOf, guard: StockGuard, client: Methods) {
  return Promise.all(
    keys.map((key) => {
      const sessionId = sessionOf(key);
      return sessionId === null ? client.get?.(key) : guard.peek(sessionId);
    }),
  );
}

/** `'MATCH', pattern` or `{ MATCH: pattern }`: would this scan list sessions? */
function namesSessions(how: readonly unknown[], prefix: string): boolean {
  const at = how.findIndex((word) => typeof word === 'string' && word.toUpperCase() === 'MATCH');
  const pattern = at >= 0 ? how[at + 1] : how.map((one) => (one as { MATCH?: unknown } | null)?.MATCH).find(Boolean);
  return typeof pattern === 'string' && pattern.startsWith(prefix);
}

/** A silent empty answer would make a store's `clear()` a logout of everybody that logs out nobody. */
function unsupported(): BouncerError {
  return new BouncerError(
    'guard_unsupported',
    'A guarded store cannot list its sessions (ids, length, all, clear): Redis does not hold their ids; use bouncer.sessions',
  );
}

function refusedIterator(): AsyncIterable<never> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(unsupported()) }) };
}

async function nodeClient(client: Methods, args: readonly unknown[], guard: StockGuard, prefix: string) {
  return guardClient((await client.nodeClient?.(...args)) as object, guard, prefix);
}

function ms(ttl: unknown, unitMs: number): number | null {
  const count = Number(ttl);
  return Number.isFinite(count) ? count * unitMs : null;
}

/** `'EX', seconds`, `{ EX: seconds }` and `{ expiration: { type: 'EX', value: seconds } }`, the same with PX; else null. */
function ttlOf(how: readonly unknown[]): number | null {
  const [first, second] = how;
  if (typeof first === 'string') return first.toUpperCase() === 'PX' ? ms(second, 1) : ms(second, 1000);
  if (typeof first !== 'object' || first === null) return null;
  const { EX, PX, expiration } = first as {
    EX?: unknown;
    PX?: unknown;
    expiration?: { type?: unknown; value?: unknown };
  };
  if (EX !== undefined) return ms(EX, 1000);
  if (PX !== undefined) return ms(PX, 1);
  return expiration === undefined ? null : ms(expiration.value, expiration.type === 'PX' ? 1 : 1000);
}
