/**
 * A process that dies in the middle of a logout. Whatever had left it by then, one of two things holds: the holder is still
 * logged in (and the next logout ends all), or no id of the login is alive.
 */
import { describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { redisSessions } from '../../src/redis/ender.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import type { SessionEngine } from '../../src/web/engine.ts';
import { randomToken, sessionHandle } from '../../src/web/handle.ts';
import { WebTier } from '../support/admin.ts';
import { startCluster } from '../support/cluster.ts';
import { Hooks, hookUp, loadAllScripts } from '../support/hooked-redis.ts';
import { connect, release, testPrefix } from '../support/index.ts';

const LONG_MS = 30 * 86_400_000;

function webOn(redis: Redis, prefix: string) {
  const web = new WebTier(prefix, redis);
  const { keys } = web;
  const onLogout = async (login: { lid: string; handle: string }) => {
    const [ended] = await redisSessions(redis, keys, LONG_MS).revoke([
      { ...login, reason: 'logout', caseId: 'NONE', atMs: web.now },
    ]);
    if (ended instanceof Error) throw ended;
  };
  return { web, engine: web.engine({ onLogout }) };
}

/** A login with two living ids: two tabs that changed it at once. */
async function twoTabs({ web, engine }: { web: WebTier; engine: SessionEngine }) {
  const { id, lid } = await web.login('alice', engine);
  const tabs = [await engine.open(id), await engine.open(id)];
  const ids: string[] = [];
  for (const opened of tabs) {
    if (opened.kind !== 'live') throw new Error('not live');
    const newId = randomToken();
    await engine.save(engine.move(opened.entry, id, newId), { cookie: {}, userId: 'alice' }, null);
    ids.push(newId);
  }
  const [own = '', other = ''] = ids;
  return { lid, own, other };
}

/** The commands of a logout, the first `count` of which leave: then the process is dead, and tries nothing again. */
async function dyingAfter(
  count: number,
  hooks: Hooks,
  engine: SessionEngine,
  logout: () => Promise<unknown>,
): Promise<number> {
  let left = count;
  const before = hooks.sent.length;
  hooks.always(async () => {
    left -= 1;
    if (left < 0) throw new Error('Connection is closed.');
  });
  await logout();
  const commands = hooks.sent.length - before;
  await engine.close();
  hooks.always(null);
  return commands;
}

const MAX_COMMANDS = 12;

async function dieEverywhere(healthy: Redis, hooked: Redis, hooks: Hooks, knowsLogin: boolean) {
  const seen = { alive: 0, dead: 0, commands: 0 };
  for (let count = 0; count <= MAX_COMMANDS; count++) {
    const prefix = testPrefix();
    const well = webOn(healthy, prefix);
    const { lid, own, other } = await twoTabs(well);
    expect([await well.web.lives(own), await well.web.lives(other)]).toEqual([true, true]);
    const dying = webOn(hooked, prefix).engine;
    const known = knowsLogin ? lid : undefined;
    seen.commands = await dyingAfter(count, hooks, dying, () => dying.end(sessionHandle(own), known));
    const isLoggedIn = await well.web.lives(own);
    seen[isLoggedIn ? 'alive' : 'dead'] += 1;
    if (isLoggedIn) await well.engine.end(sessionHandle(own));
    expect({ count, alive: [await well.web.lives(own), await well.web.lives(other)] }).toEqual({
      count,
      alive: [false, false],
    });
    expect(await well.web.admin.isLive(lid)).toBe(false);
  }
  return seen;
}

describe.each([
  ['its login known', true],
  ['by the id alone', false],
])('a logout, %s, dies between any two commands', (_name, knowsLogin) => {
  test('on one server', async () => {
    await loadAllScripts([connect()]);
    const hooks = new Hooks();
    const seen = await dieEverywhere(connect(), hookUp(connect(), hooks), hooks, knowsLogin);
    // Not sent, and (where the login is not known) looked at only: the holder is logged in. After that all is done.
    expect(seen).toEqual({ alive: knowsLogin ? 1 : 2, dead: knowsLogin ? 12 : 11, commands: knowsLogin ? 2 : 3 });
  });

  test('on a Cluster', async () => {
    const { client } = await startCluster();
    await loadAllScripts(client.nodes('master'));
    const own = client.duplicate();
    release(() => own.disconnect());
    const hooks = new Hooks();
    const healthy = client as unknown as Redis;
    const seen = await dieEverywhere(healthy, hookUp(own as unknown as Redis, hooks), hooks, knowsLogin);
    expect(seen.alive).toBeGreaterThan(3);
    expect(seen.dead).toBeGreaterThan(0);
    expect(seen.commands).toBe(12); // with three ids; a login with one: 8
  }, 60_000);
});

test('of a login with more ids than one step may end, the rest ends in the next', async () => {
  const { web, engine } = webOn(connect(), testPrefix());
  const { logoutAtOnce } = await import('../../src/redis/logout.ts');
  const { lid, own, other } = await twoTabs({ web, engine });
  const ended: string[] = [];
  const short = web.engine({
    sessions: { ...guardedSessions(web.redis, web.keys), logoutAtOnce: logoutAtOnce(web.redis, web.keys, 0) },
    onLogout: async (login) => {
      ended.push(login.lid);
      const end = { ...login, reason: 'logout', caseId: 'NONE', atMs: web.now } as const;
      await redisSessions(web.redis, web.keys, LONG_MS).revoke([end]);
    },
  });
  await short.end(sessionHandle(own), lid);
  expect(ended).toEqual([lid]);
  expect([await web.lives(own), await web.lives(other)]).toEqual([false, false]);
});

test('a login that is not the one which the session was loaded with is ended by its own name', async () => {
  const { web, engine } = webOn(connect(), testPrefix());
  const { lid, id } = await web.login('alice', engine);
  const { lid: before } = await web.login('alice', engine);
  await engine.end(sessionHandle(id), before);
  expect([await web.lives(id), await web.admin.isLive(lid), await web.admin.isLive(before)]).toEqual([
    false,
    false,
    true,
  ]);
});
