/** An end that is taken back: the same browser is logged in again, and only a new end ends it. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { redisUndo } from '../../src/redis/undo.ts';
import { Hooks, hookUp } from '../support/hooked-redis.ts';
import { connect, privateRedis, testPrefix, until } from '../support/index.ts';
import { expressWith } from './interleavings/express.ts';
import { fastifyWith } from './interleavings/fastify.ts';
import { type Framework, type Handlers, World } from './interleavings/harness.ts';
import { koaWith } from './interleavings/koa.ts';
import { CASES, EVERYWHERE, kill, recheckAgainstUndo } from './undo/cases.ts';

const FRAMEWORKS: readonly Framework[] = [
  expressWith({ resave: false, rolling: false }),
  fastifyWith({ rolling: true }),
  koaWith({ rolling: false }),
];

async function openWorld(framework: Framework): Promise<World> {
  const { url } = await privateRedis();
  const hooks = new Hooks();
  const prefix = testPrefix();
  const handlers: Handlers = new Map();
  const running = await framework.open(hookUp(connect(url), hooks), prefix, handlers);
  const world = new World(prefix, hooks, connect(url), running, handlers);
  await until(async () => (await world.visitor().login()).saved);
  return world;
}

describe.each(FRAMEWORKS)('$name', (framework) => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld(framework);
  });

  test.each(EVERYWHERE)('$name', async ({ run }) => {
    await run(world);
    expect(world.refused()['save:unavailable']).toBeUndefined();
  });
});

describe('beside', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld(expressWith({ resave: false, rolling: false }));
  });

  test.each(CASES)('$name', async ({ run }) => {
    await run(world);
    expect(world.refused()['save:unavailable']).toBeUndefined();
  });

  test('without the last look at the mark a re-check would end what was given back', async () => {
    const alice = await world.alice();
    const cookie = await kill(world, alice);
    await recheckAgainstUndo(world, alice, 'no_last_look');
    expect(await alice.user(cookie)).toBe(null);
  });
});

const HOUR_MS = 3_600_000;
const LID = 'L'.repeat(22);
const HANDLE = 'h'.repeat(43);

describe('what is put back', () => {
  async function ended({ ttlMs = 60_000, leftMs = 10 * HOUR_MS, data = {} as object }) {
    const redis = connect();
    const keys = keysFor(testPrefix());
    const web = guardedSessions(redis, keys);
    const atMs = Date.now();
    const head = { renewedAtMs: atMs, endsAtMs: atMs + leftMs, birth: 'b'.repeat(22), lid: LID, movedFrom: '' };
    await web.save(HANDLE, true, head, data, ttlMs);
    const value = await redis.get(keys.session(HANDLE));
    const one = { handle: HANDLE, lid: LID, reason: 'country_changed', caseId: 'C', atMs } as const;
    await redisSessions(redis, keys, 100 * HOUR_MS).revoke([one]);
    const lift = (later: number) => redisUndo(redis, keys).lift({ lid: LID, handle: HANDLE, atMs: atMs + later });
    return { redis, key: keys.session(HANDLE), value, lift };
  }

  test.each([
    ['plain', { cookie: {}, userId: 'alice' }],
    ['text of all kinds', { text: 'a"b\\c/\u0000\u007f\u2028 \u{1F600} ","kept":"x"},"cookie":{}} "s":"zz" \n' }],
  ])('byte by byte: %s', async (_, data) => {
    const { redis, key, value, lift } = await ended({ data });
    expect(await redis.get(key)).toMatch(/^\{"__bouncer":\{"k":"revoked",/);
    expect(JSON.parse((await redis.get(key)) ?? '')).toMatchObject({ cookie: {} });
    expect(await lift(1000)).toBe('given_back');
    expect(await redis.get(key)).toBe(value);
  });

  test.each([
    ['an hour, where it had less', 60_000, 10 * HOUR_MS, HOUR_MS],
    ['what it had, where that was more', 5 * HOUR_MS, 10 * HOUR_MS, 5 * HOUR_MS],
    ['never past its absolute end', 60_000, HOUR_MS, HOUR_MS / 2],
  ])('lives on: %s', async (_, ttlMs, leftMs, expected) => {
    const { redis, key, lift } = await ended({ ttlMs, leftMs });
    expect(await lift(HOUR_MS / 2)).toBe('given_back');
    const left = await redis.pttl(key);
    expect(left).toBeGreaterThan(expected - 30_000);
    expect(left).toBeLessThanOrEqual(expected);
  });

  test('not after its absolute end, and then nobody is called a thief', async () => {
    const { redis, key, lift } = await ended({ leftMs: HOUR_MS });
    expect(await lift(HOUR_MS + 1)).toBe('expired');
    expect(await redis.exists(key)).toBe(0);
  });

  test('not one of more than 256 KiB, and then it is logged out', async () => {
    const { redis, key, lift } = await ended({ data: { text: 'x'.repeat(262_144) } });
    expect((await redis.get(key))?.length).toBeLessThan(400);
    expect(await lift(1000)).toBe('gone');
    expect(await redis.get(key)).toMatch(/^\{"__bouncer":\{"k":"logout",/);
  });
});
