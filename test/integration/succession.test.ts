/** How one id follows another: what is live when, for whom, whoever fails or is faster in between. */
import { describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import type { GuardedSessions } from '../../src/ports.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { userTag } from '../../src/redis/keys.ts';
import { redisLogins } from '../../src/redis/logins.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import type { Opened, SessionEngine } from '../../src/web/engine.ts';
import { loginId, randomToken, sessionHandle } from '../../src/web/handle.ts';
import { WebTier } from '../support/admin.ts';
import { testPrefix, until } from '../support/index.ts';
import { openShop } from '../support/shop.ts';

const DATA = { cookie: {}, userId: 'alice' };
const DAY_MS = 86_400_000;

/** On a single server an id comes into being in one step; on a Cluster in several. */
const WAYS: [string, (sessions: GuardedSessions) => GuardedSessions][] = [
  ['in one step', (sessions) => sessions],
  ['step by step', (sessions) => ({ ...sessions, enter: null })],
];

function live(opened: Opened) {
  if (opened.kind !== 'live') throw new Error(`not live but ${opened.kind}`);
  return opened;
}

async function stateOf(web: WebTier, id: string): Promise<string> {
  const found = await guardedSessions(web.redis, web.keys).load(sessionHandle(id));
  return found.kind === 'tombstone' ? found.tombstone.kind : found.kind;
}

/** A request that has loaded this id and regenerates; returns the new id and its entry, not stored yet. */
async function regenerated(engine: SessionEngine, id: string) {
  const newId = randomToken();
  return { newId, entry: engine.move(live(await engine.open(id)).entry, id, newId) };
}

const revokeOf = (web: WebTier, lid: string, id: string) =>
  redisSessions(web.redis, web.keys, DAY_MS).revoke([
    { lid, handle: sessionHandle(id), reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs: web.now },
  ]);

describe.each(WAYS)('a session that goes on under a new id, %s', (_name, way) => {
  const tier = () => {
    const web = new WebTier();
    const sessions = way(guardedSessions(web.redis, web.keys));
    return { web, sessions, engine: web.engine({ sessions }) };
  };

  test('the old id lives until the new one is stored, and is moved then', async () => {
    const { web, engine } = tier();
    const { id } = await web.login('alice');
    const { newId, entry } = await regenerated(engine, id);
    expect(await stateOf(web, id)).toBe('live');
    expect(await engine.save(entry, DATA, null)).toBe('live');
    expect([await stateOf(web, id), await stateOf(web, newId)]).toEqual(['moved', 'live']);
    expect(await engine.save(entry, { ...DATA, cookie: { again: true } }, null)).toBe('live');
    expect(await engine.open(id)).toMatchObject({ kind: 'live', forwardTo: newId, data: { cookie: { again: true } } });
  });

  test('a first save that is repeated, its answer lost, moves once and succeeds', async () => {
    const { web, engine } = tier();
    const { id } = await web.login('alice');
    const { newId, entry } = await regenerated(engine, id);
    expect(await engine.save({ ...entry }, DATA, null)).toBe('live');
    expect(await engine.save(entry, DATA, null)).toBe('live');
    expect(await engine.open(id)).toMatchObject({ kind: 'live', forwardTo: newId });
  });

  test.each(['logout', 'gone', 'revoked'])('the old id ended in between (%s): the new one is not live', async (how) => {
    const { web, engine } = tier();
    const { id, lid } = await web.login('alice');
    const { newId, entry } = await regenerated(engine, id);
    if (how === 'logout') await engine.end(sessionHandle(id));
    if (how === 'gone') await web.redis.del(web.keys.session(sessionHandle(id)));
    if (how === 'revoked') await revokeOf(web, lid, id);
    for (let i = 0; i < 2; i++) expect(await engine.save(entry, DATA, null)).not.toBe('live');
    expect(await stateOf(web, newId)).not.toBe('live');
    if (how === 'revoked') expect(await engine.open(newId)).toMatchObject({ kind: 'revoked' });
  });

  test('two tabs regenerate, and the newest id goes: the old one leads to the other', async () => {
    const { web, sessions, engine } = tier();
    const { id } = await web.login('alice');
    const [left, right] = [await regenerated(engine, id), await regenerated(engine, id)];
    await engine.save(left.entry, DATA, null);
    await engine.save(right.entry, DATA, null);
    expect(await engine.open(id)).toMatchObject({ kind: 'live', forwardTo: right.newId });
    // By itself, as no logout does: that ends the login with all its ids.
    await sessions.destroy(sessionHandle(right.newId), web.now, 1_000_000);
    expect(await engine.open(id)).toMatchObject({ kind: 'live', forwardTo: left.newId });
    await sessions.destroy(sessionHandle(left.newId), web.now, 1_000_000);
    expect(await engine.open(id)).toEqual({ kind: 'anonymous' });
  });

  test('data that changes hands after the first save closes the old id, before it is written', async () => {
    const { web, engine } = tier();
    const { id } = await web.login('alice');
    const { newId, entry } = await regenerated(engine, id);
    await engine.save(entry, DATA, null);
    expect(await engine.open(id)).toMatchObject({ forwardTo: newId });
    await engine.save(entry, { cookie: {}, userId: 'bob' }, null);
    expect(await engine.open(id)).toEqual({ kind: 'anonymous' });
    await engine.save(entry, DATA, null);
    expect(await engine.open(id)).toMatchObject({ forwardTo: newId });
  });

  test('what is added with the new id, or after its first save, is not for holders of the old one', async () => {
    const { web, engine } = tier();
    const raised = { ...DATA, mfa: true };
    const { id } = await web.login('alice');
    const first = await regenerated(engine, id);
    expect(await engine.save(first.entry, raised, null)).toBe('live');
    expect(await engine.open(id)).toEqual({ kind: 'anonymous' });
    const { id: another } = await web.login('alice');
    const second = await regenerated(engine, another);
    expect(await engine.save(second.entry, DATA, null)).toBe('live');
    expect(await engine.open(another)).toMatchObject({ forwardTo: second.newId });
    expect(await engine.save(second.entry, raised, null)).toBe('live');
    expect(await engine.open(another)).toEqual({ kind: 'anonymous' });
  });

  test.each([
    ['has lost sight of the login', (web: WebTier, key: string) => web.redis.unlink(key)],
    ['is of a wrong type', (web: WebTier, key: string) => web.redis.set(key, 'x')],
  ])('goes on where the registry %s, and no epoch stands', async (_what, spoil) => {
    const { web, engine } = tier();
    const { id } = await web.login('alice');
    const { newId, entry } = await regenerated(engine, id);
    await spoil(web, web.keys.userEntries(userTag('alice')));
    expect(await engine.save(entry, DATA, null)).toBe('live');
    expect(await engine.open(newId)).toMatchObject({ kind: 'live' });
  });

  test('rotation meets a login whose end has begun: it says so, and serves nothing', async () => {
    const { web, sessions } = tier();
    const { id, lid } = await web.login('alice');
    const mark = JSON.stringify({ reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs: web.now });
    // The commit point of a revocation; its tombstones come later.
    await web.redis.set(web.keys.loginEnd(lid), mark);
    const engine = web.engine({ sessions, rotateEvery: 1 });
    expect(await engine.open(id)).toMatchObject({ kind: 'revoked', tombstone: { reason: 'country_changed', lid } });
  });

  test.each([
    ['revoked', 'revoked'],
    ['logout', 'anonymous'],
  ])('rotation meets an id that was %s since it was loaded', async (how, kind) => {
    const { web, sessions } = tier();
    const { id, lid } = await web.login('alice');
    const loaded = await sessions.load(sessionHandle(id));
    if (how === 'revoked') await revokeOf(web, lid, id);
    else await web.engine().end(sessionHandle(id));
    let loads = 0;
    const stale = { ...sessions, load: async (handle: string) => (loads++ === 0 ? loaded : sessions.load(handle)) };
    expect((await web.engine({ sessions: stale, rotateEvery: 1 }).open(id)).kind).toBe(kind);
  });

  test('nothing is live of a login whose index cannot be written', async () => {
    const { web, engine } = tier();
    const [lid, id] = [loginId('alice'), randomToken()];
    await web.redis.set(web.keys.loginIds(lid), 'not a set');
    expect(await engine.save(engine.fresh(id, lid), DATA, null)).toBeNull();
    expect(await stateOf(web, id)).toBe('absent');
  });

  test("where the user's list cannot be written the login goes on, and can be ended", async () => {
    const { web, engine } = tier();
    const [lid, id] = [loginId('alice'), randomToken()];
    const tag = userTag('alice');
    for (const key of [web.keys.userLogins(tag), web.keys.userEntries(tag)]) await web.redis.set(key, 'neither');
    expect(await engine.save(engine.fresh(id, lid), DATA, null)).toBe('live');
    await revokeOf(web, lid, 'an id that nobody has: it goes by the index');
    expect(await stateOf(web, id)).toBe('revoked');
  });
});

test('step by step, a login is not saved before it is enrolled', async () => {
  const web = new WebTier();
  const sessions = { ...guardedSessions(web.redis, web.keys), enter: null };
  const logins = redisLogins(web.redis, web.keys);
  const id = randomToken();
  const engine = web.engine({ sessions, logins: { ...logins, enroll: () => Promise.reject(new Error('died here')) } });
  expect(await engine.save(engine.fresh(id, loginId('alice')), DATA, null)).toBeNull();
  expect(await stateOf(web, id)).toBe('absent');
});

describe('an old id that a late answer gave back', () => {
  /** A request that has loaded the first id, which then moves; the new one is in use. */
  async function late(changes = 1) {
    const web = new WebTier();
    const alarms: string[] = [];
    const engine = web.engine({ onReused: async ({ handle }) => void alarms.push(handle) });
    const { id } = await web.login('alice');
    const slow = live(await engine.open(id)).entry;
    let last = id;
    for (let i = 0; i < changes; i++) {
      const { newId, entry } = await regenerated(engine, last);
      await engine.save(entry, DATA, null);
      last = newId;
      await use(last);
    }
    async function use(newest: string) {
      expect(await engine.open(newest)).toMatchObject({ kind: 'live', forwardTo: null });
      await web.redis.ping(); // it is noted behind the request
    }
    const answer = async () => {
      const named = engine.mayName(slow); // the headers go
      expect(await engine.save(slow, { ...DATA, late: true }, null)).toBe('moved');
      return named;
    };
    return { web, engine, alarms, id, last, use: () => use(last), answer };
  }

  test.each([1, 2])(
    'is forwarded, %d changes later, until the new one is used; then it is an alarm again',
    async (n) => {
      const { web, engine, alarms, id, last, use, answer } = await late(n);
      expect(await answer()).toBe(true);
      web.now += 600_000;
      expect(await engine.open(id)).toMatchObject({ kind: 'live', forwardTo: last });
      await use();
      expect(alarms).toEqual([]);
      web.now += 31_000;
      await engine.open(id);
      expect(alarms).toHaveLength(1);
    },
  );

  test('not five minutes after the change: no request is under way for so long', async () => {
    const { web, engine, alarms, id, answer } = await late();
    web.now += 300_001;
    await answer();
    await engine.open(id);
    expect(alarms).toEqual([sessionHandle(id)]);
  });

  test('not where the answer did not name it, nor by a request that came in the tail', async () => {
    const { web, engine, alarms, id } = await late();
    const { entry } = live(await engine.open(id));
    expect(engine.mayName(entry)).toBe(false);
    expect(await engine.save(entry, DATA, null)).toBe('live');
    web.now += 31_000;
    await engine.open(id);
    expect(alarms).toHaveLength(1);
  });

  test('a change that was refused before the headers go is known: the cookie stays away', async () => {
    const { web, engine, alarms, answer } = await late();
    const slow = live(await web.engine().open((await web.login('bob')).id)).entry;
    expect(engine.mayName(slow)).toBe(true);
    await answer();
    expect(await answer()).toBe(false);
    expect(alarms).toEqual([]);
  });
});

describe('rotation waits until an id has settled', () => {
  test('not within the tail of its predecessor, so that a call under way is never two generations old', async () => {
    const web = new WebTier();
    const engine = web.engine({ rotateEvery: 1 });
    const { id } = await web.login('alice');
    const second = live(await engine.open(id)).forwardTo ?? '';
    const firstUse = async (redis: Redis) => {
      expect(await engine.open(second)).toMatchObject({ kind: 'live', forwardTo: null });
      await redis.ping(); // it is noted behind the request
    };
    await firstUse(web.redis);
    for (let i = 0; i < 3; i++) {
      web.now += 10_000;
      const opened = live(await engine.open(second));
      expect(opened.forwardTo).toBeNull();
      await engine.save(opened.entry, { ...DATA, i }, null); // a save does not forget when
      expect(await engine.open(id)).toMatchObject({ kind: 'live', forwardTo: null }); // no alarm
    }
    web.now += 1000;
    expect(live(await engine.open(second)).forwardTo).toMatch(/^[\w-]{32}$/);
  });
});

describe('an express app', () => {
  test('that regenerates and drops the session has ended the old one when its answer is through', async () => {
    const prefix = testPrefix();
    const shop = await openShop(prefix, {
      routes: (app) =>
        app.post('/drop', (req, res) => {
          req.session.regenerate(() => {
            (req as { session: unknown }).session = null;
            res.end('dropped');
          });
        }),
    });
    const browser = shop.browser();
    await until(async () => (await browser.login('alice')).json().saved);
    const id = await browser.sessionId();
    const web = new WebTier(prefix);
    await browser.post('/drop');
    await until(async () => (await stateOf(web, id)) === 'logout');
    expect(await browser.user()).toBeNull();
  });
});
