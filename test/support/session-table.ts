/** Part A's table of states, and what holds beside it, against whatever Redis it is given: one server, or a Cluster. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import type { GuardedSessions, LiveHead, Sessions } from '../../src/ports.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { type Keys, keysFor } from '../../src/redis/keys.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { testPrefix } from './index.ts';

const HANDLE = 'h'.repeat(43);
const LID = 'L'.repeat(22);
const OTHER = 'M'.repeat(22);
const TTL_MS = 60_000;
const LONG_MS = 1_000_000;
/** Where HANDLE moves to in this table, and where one that was moved already went before. */
const NEXT = 'n'.repeat(43);
const EARLIER = 'e'.repeat(43);
const DATA = { cookie: { path: '/' }, userId: 'alice' };

export function sessionTable(open: () => Redis): void {
  let redis: Redis;
  let keys: Keys;
  let web: GuardedSessions;
  let worker: Sessions;
  let now: number;

  beforeEach(() => {
    redis = open();
    keys = keysFor(testPrefix());
    web = guardedSessions(redis, keys);
    worker = redisSessions(redis, keys, LONG_MS);
    now = Date.now();
  });

  function head(overrides: Partial<LiveHead> = {}): LiveHead {
    return {
      renewedAtMs: now,
      endsAtMs: now + 5 * LONG_MS,
      birth: 'b'.repeat(22),
      lid: LID,
      movedFrom: '',
      ...overrides,
    };
  }
  const first = (overrides?: Partial<LiveHead>, data: object = DATA) =>
    web.save(HANDLE, true, head(overrides), data, TTL_MS);
  const again = (data: object = DATA) => web.save(HANDLE, false, head(), data, TTL_MS);
  const revoke = async (lid = LID, caseId = 'AAAA-BBBB-CCCC') => {
    const [result] = await worker.revoke([{ handle: HANDLE, lid, reason: 'country_changed', caseId, atMs: now }]);
    return result instanceof Error ? result : result?.outcome;
  };
  const move = (to = NEXT) => web.move({ from: HANDLE, to, sealedId: 'sealed', atMs: now, tombstoneTtlMs: LONG_MS });
  const raw = () => redis.get(keys.session(HANDLE));
  const ttl = () => redis.pttl(keys.session(HANDLE));

  /** How each state of the table is reached. */
  const STATES = {
    absent: async () => {},
    live: async () => void (await first()),
    moved: async () => {
      await first();
      await move(EARLIER);
      await web.save(EARLIER, true, head({ birth: 'e'.repeat(22), movedFrom: HANDLE }), DATA, TTL_MS);
    },
    logout: async () => {
      await first();
      await web.destroy(HANDLE, now, LONG_MS);
    },
    revoked: async () => {
      await first();
      await revoke();
    },
  };
  type State = keyof typeof STATES;

  async function stateNow(handle = HANDLE): Promise<string> {
    const loaded = await web.load(handle);
    return loaded.kind === 'tombstone' ? loaded.tombstone.kind : loaded.kind;
  }

  /** [operation, state before, outcome, state after]: part A of the design's table. */
  const TABLE: [string, () => Promise<unknown>, State, unknown, string][] = [
    ['first save', () => first(), 'absent', 'live', 'live'],
    ['first save, same object', () => first(), 'live', 'live', 'live'],
    ['first save, another object', () => first({ birth: 'x'.repeat(22) }), 'live', 'taken', 'live'],
    ['first save', () => first(), 'moved', 'moved', 'moved'],
    ['first save', () => first(), 'logout', 'logout', 'logout'],
    ['first save', () => first(), 'revoked', 'revoked', 'revoked'],
    ['save of a loaded session', () => again(), 'absent', 'gone', 'absent'],
    ['save of a loaded session', () => again(), 'live', 'live', 'live'],
    ['save of a loaded session', () => again(), 'moved', 'moved', 'moved'],
    ['save of a loaded session', () => again(), 'logout', 'logout', 'logout'],
    ['save of a loaded session', () => again(), 'revoked', 'revoked', 'revoked'],
    ['touch', () => web.touch(HANDLE, now, TTL_MS), 'absent', 'gone', 'absent'],
    ['touch', () => web.touch(HANDLE, now, TTL_MS), 'live', 'live', 'live'],
    ['touch', () => web.touch(HANDLE, now, TTL_MS), 'moved', 'moved', 'moved'],
    ['touch', () => web.touch(HANDLE, now, TTL_MS), 'logout', 'logout', 'logout'],
    ['touch', () => web.touch(HANDLE, now, TTL_MS), 'revoked', 'revoked', 'revoked'],
    ['destroy', () => web.destroy(HANDLE, now, LONG_MS), 'absent', 'logout', 'logout'],
    ['destroy', () => web.destroy(HANDLE, now, LONG_MS), 'live', 'logout', 'logout'],
    ['destroy', () => web.destroy(HANDLE, now, LONG_MS), 'moved', 'moved', 'logout'],
    ['destroy', () => web.destroy(HANDLE, now, LONG_MS), 'logout', 'logout', 'logout'],
    ['destroy', () => web.destroy(HANDLE, now, LONG_MS), 'revoked', 'revoked', 'revoked'],
    ['move', () => move(), 'absent', 'gone', 'absent'],
    ['move', () => move(), 'live', 'moved', 'moved'],
    ['move', () => move(), 'moved', 'moved', 'moved'],
    ['move', () => move(), 'logout', 'logout', 'logout'],
    ['move', () => move(), 'revoked', 'revoked', 'revoked'],
    ['revoke by this login', () => revoke(), 'absent', 'not_found', 'revoked'],
    ['revoke by this login', () => revoke(), 'live', 'revoked', 'revoked'],
    ['revoke by this login', () => revoke(), 'moved', 'revoked', 'revoked'],
    ['revoke by this login', () => revoke(), 'logout', 'revoked', 'revoked'],
    ['revoke by this login', () => revoke(), 'revoked', 'revoked', 'revoked'],
    ['revoke by another login', () => revoke(OTHER), 'live', 'other_login', 'live'],
    ['revoke by another login', () => revoke(OTHER), 'moved', 'other_login', 'moved'],
    ['revoke by another login', () => revoke(OTHER), 'logout', 'other_login', 'logout'],
    ['revoke by another login', () => revoke(OTHER), 'revoked', 'already_revoked', 'revoked'],
  ];

  /** Nothing has changed a time to live: it is never more again, nor less by more than the time of a test. */
  function expectToRunOn(after: number, before: number): void {
    expect(after).toBeLessThanOrEqual(before);
    expect(after).toBeGreaterThan(before - 30_000);
  }

  describe('the table of states', () => {
    test.each(TABLE)('%s', async (name, operation, before, outcome, after) => {
      await STATES[before]();
      const [valueBefore, ttlBefore] = [await raw(), await ttl()];
      expect(await operation()).toBe(outcome);
      expect(await stateNow()).toBe(after);
      const refused =
        ['gone', 'taken', 'other_login', 'already_revoked'].includes(String(outcome)) || outcome === before;
      const written =
        before === 'live' ||
        (before === 'moved' && ['move', 'destroy'].includes(name)) ||
        (before === 'revoked' && name === 'destroy');
      if (refused && !written) {
        expect(await raw()).toBe(valueBefore);
        if (ttlBefore > 0) expectToRunOn(await ttl(), ttlBefore);
      }
    });

    test('a logout of an id that was never stored leaves no long-lived tombstone', async () => {
      expect(await web.destroy(HANDLE, now, LONG_MS)).toBe('logout');
      expect(await ttl()).toBeLessThanOrEqual(300_000);
      expect(await first()).toBe('logout'); // a first save that was under way stays out
    });

    test('a second move keeps the first successor: the tombstone lists both, oldest first', async () => {
      await STATES.moved();
      await move();
      const loaded = await web.load(HANDLE);
      const successors = [EARLIER, NEXT].map((handle) => ({ handle, sealedId: 'sealed' }));
      expect(loaded).toMatchObject({ tombstone: { kind: 'moved', lid: LID, successorUsedAtMs: 0, successors } });
      expect(await ttl()).toBeGreaterThan(4.9 * LONG_MS); // as long as the session could have lived
    });

    test('where nobody may be forwarded the tombstone says so', async () => {
      await first({ lid: '' });
      await web.move({ from: HANDLE, to: NEXT, sealedId: null, atMs: now, tombstoneTtlMs: LONG_MS });
      expect(await web.load(HANDLE)).toMatchObject({ tombstone: { successors: [{ handle: NEXT, sealedId: null }] } });
    });

    test('destroy of a moved id ends its successors, and what one of them moved to', async () => {
      await STATES.moved();
      await web.move({ from: EARLIER, to: NEXT, sealedId: 'x', atMs: now, tombstoneTtlMs: LONG_MS });
      await web.save(NEXT, true, head({ birth: 'n'.repeat(22) }), DATA, TTL_MS);
      await web.destroy(HANDLE, now, LONG_MS);
      for (const handle of [HANDLE, EARLIER, NEXT]) expect(await stateNow(handle)).toBe('logout');
      expect(await move('z'.repeat(43))).toBe('logout'); // a stale tab cannot move on from there
    });

    test.each(['moved', 'logout'])('revoke follows all successors of an id that is %s', async (state) => {
      await STATES.moved();
      await move();
      await web.save(NEXT, true, head({ birth: 'n'.repeat(22) }), DATA, TTL_MS);
      if (state === 'logout') await web.destroy(HANDLE, now, LONG_MS);
      expect(await revoke()).toBe('revoked');
      for (const handle of [HANDLE, EARLIER, NEXT]) expect(await stateNow(handle)).toBe('revoked');
    });

    test('a move that is refused as revoked buries the new id first, with the first reason, case and time', async () => {
      await STATES.revoked();
      const at = now;
      now += 5000;
      expect(await move()).toBe('revoked');
      const tombstone = { kind: 'revoked', atMs: at, lid: LID, reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC' };
      expect(await web.load(NEXT)).toEqual({ kind: 'tombstone', tombstone });
      expect(await web.save(NEXT, true, head({ birth: 'n'.repeat(22) }), DATA, TTL_MS)).toBe('revoked');
    });

    test("another login's late job ends neither a moved id nor its successors, only its own mark is set", async () => {
      await STATES.moved();
      expect(await revoke(OTHER)).toBe('other_login');
      expect([await stateNow(), await stateNow(EARLIER)]).toEqual(['moved', 'live']);
      expect(await redis.exists(keys.loginEnd(OTHER))).toBe(1);
      expect(await redis.exists(keys.loginEnd(LID))).toBe(0);
    });

    test('the first use of a successor is noted once, and takes no time to live', async () => {
      await STATES.moved();
      const before = await ttl();
      await web.arrive(EARLIER, HANDLE, now + 1000);
      await web.arrive(EARLIER, HANDLE, now + 2000);
      expect(await web.load(HANDLE)).toMatchObject({ tombstone: { successorUsedAtMs: now + 1000 } });
      expect(await web.load(EARLIER)).toMatchObject({ kind: 'live', head: { movedFrom: '' }, data: DATA });
      expectToRunOn(await ttl(), before);
    });

    test('a repeated revoke tells the first time and case; "not found" stays "not found"', async () => {
      expect(await revoke()).toBe('not_found');
      now += 5000;
      expect(await revoke(LID, 'XXXX-YYYY-ZZZZ')).toBe('not_found');
      const loaded = await web.load(HANDLE);
      expect(loaded).toMatchObject({ kind: 'tombstone', tombstone: { atMs: now - 5000, caseId: 'AAAA-BBBB-CCCC' } });
    });

    test('a session without a login id is ended by any login that names its handle', async () => {
      await first({ lid: '' });
      expect(await revoke()).toBe('revoked');
    });

    test('a tombstone outlives the session it stands for', async () => {
      await first({ endsAtMs: now + 5 * LONG_MS });
      await revoke();
      expect(await ttl()).toBeGreaterThan(4.9 * LONG_MS);
    });

    test('touch renews up to the absolute end and not beyond', async () => {
      await first({ endsAtMs: now + TTL_MS + 5000 });
      await web.touch(HANDLE, now + 10_000, TTL_MS);
      expect(await ttl()).toBeLessThanOrEqual(TTL_MS - 5000);
      const loaded = await web.load(HANDLE);
      expect(loaded).toMatchObject({ kind: 'live', head: { renewedAtMs: now + 10_000, lid: LID }, data: DATA });
    });

    test('a stock store reads a tombstone as "no user"', async () => {
      await first();
      await revoke();
      const value = JSON.parse((await raw()) ?? '') as Record<string, unknown>;
      expect(Object.keys(value)[0]).toBe('__bouncer');
      expect(value).toMatchObject({ cookie: {} });
      expect(value).not.toHaveProperty('userId');
    });

    test('each script also works right after SCRIPT FLUSH', async () => {
      await redis.script('FLUSH');
      expect(await first()).toBe('live');
      await redis.script('FLUSH');
      expect(await web.touch(HANDLE, now, TTL_MS)).toBe('live');
      await redis.script('FLUSH');
      expect(await revoke()).toBe('revoked');
      await redis.script('FLUSH');
      expect(await web.destroy(HANDLE, now, LONG_MS)).toBe('revoked');
    });

    test('a value that is not ours is never overwritten and never loaded', async () => {
      await redis.set(keys.session(HANDLE), '{"cookie":{},"userId":"mallory"}');
      expect((await web.load(HANDLE)).kind).toBe('absent');
      expect(await again()).toBe('foreign');
      expect(await first()).toBe('foreign');
    });
  });
}
