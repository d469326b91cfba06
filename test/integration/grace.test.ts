import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { redisSessions } from '../../src/redis/ender.ts';
import { type Keys, keysFor } from '../../src/redis/keys.ts';
import { redisLogins } from '../../src/redis/logins.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { type Opened, SessionEngine } from '../../src/web/engine.ts';
import { randomToken, sessionHandle } from '../../src/web/handle.ts';
import { MAX_UNUSED } from '../../src/web/moved.ts';
import { commandsOn } from '../support/commands.ts';
import { captureLog, connect, testPrefix } from '../support/index.ts';

const DAY_MS = 86_400_000;
const DATA = { cookie: {}, userId: 'alice' };

let redis: Redis;
let keys: Keys;
let engine: SessionEngine;
let now: number;
let alarms: number;
let lid: string;

beforeEach(() => {
  redis = connect();
  keys = keysFor(testPrefix());
  now = Date.now();
  alarms = 0;
  lid = randomToken();
  const sessions = redisSessions(redis, keys, DAY_MS);
  engine = new SessionEngine({
    sessions: guardedSessions(redis, keys),
    logins: redisLogins(redis, keys),
    clock: () => now,
    log: captureLog(),
    ttlMs: DAY_MS,
    absoluteTtlMs: DAY_MS,
    renewAfter: 0.1,
    onRefused: () => {},
    async onReused(reuse) {
      alarms += 1;
      await sessions.revoke([{ ...reuse, reason: 'session_reused', caseId: 'AAAA-BBBB-CCCC', atMs: now }]);
    },
  });
});

async function login(): Promise<string> {
  const id = randomToken();
  expect(await engine.save(engine.fresh(id, lid), DATA, null)).toBe('live');
  return id;
}

/** A request: its session is loaded. */
async function request(id: string): Promise<Opened> {
  const opened = await engine.open(id);
  // The first use of a new id is noted behind the request.
  await redis.ping();
  return opened;
}

/** A request that changes the session's id; returns the new one, as the answer's cookie has it. */
async function change(id: string): Promise<string> {
  const opened = await request(id);
  if (opened.kind !== 'live') throw new Error(`not live but ${opened.kind}`);
  const newId = randomToken();
  const entry = await engine.move(opened.entry, opened.forwardTo ?? id, newId);
  expect(await engine.save(entry, DATA, null)).toBe('live');
  return newId;
}

const served = { kind: 'live', data: { userId: 'alice' }, forwardTo: null };
const reused = { kind: 'revoked', tombstone: { reason: 'session_reused' } };

describe('an id that its session has moved on from', () => {
  test('six parallel calls across a change raise no alarm, and all are served', async () => {
    const first = await login();
    const flights = await Promise.all([1, 2].map(() => request(first))); // these loaded before the change
    const second = await change(first);
    const late = await Promise.all([1, 2].map(() => request(first))); // these after it, its answer on the way
    for (const one of late) expect(one).toMatchObject({ ...served, forwardTo: second });
    expect(await request(second)).toMatchObject(served);
    now += 3000;
    const later = await Promise.all([1, 2].map(() => request(first))); // these when the new id was in use
    for (const one of later) expect(one).toMatchObject(served);
    for (const one of [...flights, ...late, ...later]) {
      if (one.kind === 'live') await engine.save(one.entry, { ...DATA, late: true }, null);
    }
    expect(await request(second)).toMatchObject({ ...served, data: { userId: 'alice', late: true } });
    expect(alarms).toBe(0);
  });

  test('a lost answer, and a return after ten minutes: forwarded, once', async () => {
    const first = await login();
    const second = await change(first);
    now += 600_000;
    expect(await request(first)).toMatchObject({ ...served, forwardTo: second });
    expect(await request(second)).toMatchObject(served);
    expect(alarms).toBe(0);
    now += 31_000;
    expect(await request(first)).toMatchObject(reused);
    expect(alarms).toBe(1);
  });

  test('two lost answers in a row: forwarded to the newest', async () => {
    const first = await login();
    await change(first);
    const third = await change(first); // its cookie is the first still: it was forwarded, and moved on
    now += 600_000;
    expect(await request(first)).toMatchObject({ ...served, forwardTo: third });
    expect(await request(third)).toMatchObject(served);
    expect(alarms).toBe(0);
  });

  test('a cookie that is never updated is followed so far, and no further: what it costs is bounded', async () => {
    const first = await login();
    let newest = '';
    for (let i = 0; i < MAX_UNUSED; i++) newest = await change(first);
    expect(await request(first)).toMatchObject({ ...served, forwardTo: newest });
    const last = await change(first);
    expect(await request(first)).toMatchObject({ kind: 'anonymous' });
    const sent = await commandsOn(redis, keys.prefix, () => request(first));
    expect(sent.length).toBeLessThanOrEqual(MAX_UNUSED + 1);
    // Its login lives on for whoever has the id, without an alarm.
    expect(await request(last)).toMatchObject(served);
    expect(alarms).toBe(0);
  });

  test('a long chain of used ids is no way round the alarm', async () => {
    const first = await login();
    let newest = first;
    for (let i = 0; i < MAX_UNUSED + 4; i++) newest = await change(newest);
    expect(await request(first)).toMatchObject(reused);
    expect(await request(newest)).toMatchObject(reused);
    expect(alarms).toBe(1);
  });

  test('two generations old: an alarm at once, for every holder', async () => {
    const first = await login();
    const second = await change(first);
    expect(await request(second)).toMatchObject(served);
    const third = await change(second);
    expect(await request(first)).toMatchObject(reused);
    expect(alarms).toBe(1);
    for (const id of [second, third]) expect(await request(id)).toMatchObject(reused);
    expect(alarms).toBe(1);
  });

  test('two generations old, where the one between was used only to move on', async () => {
    const first = await login();
    const third = await change(await change(first));
    expect(await request(first)).toMatchObject(reused);
    expect(await request(third)).toMatchObject(reused);
  });

  test("a previous id 30 s after its successor's first use is served, 31 s after it an alarm", async () => {
    const first = await login();
    const second = await change(first);
    now += 5000;
    await request(second);
    now += 30_000;
    expect(await request(first)).toMatchObject(served);
    expect(alarms).toBe(0);
    now += 1000;
    expect(await request(first)).toMatchObject(reused);
    expect(await request(second)).toMatchObject(reused);
    expect(alarms).toBe(1);
  });

  test('uses and saves of the new id do not move the first use', async () => {
    const first = await login();
    const second = await change(first);
    for (let i = 0; i < 3; i++) {
      const opened = await request(second);
      if (opened.kind === 'live') await engine.save(opened.entry, { ...DATA, i }, null);
      now += 10_000;
    }
    expect(await request(first)).toMatchObject(served);
    now += 1000;
    expect(await request(first)).toMatchObject(reused);
  });

  test('a change in the tail is for the holder of the successor to follow', async () => {
    const first = await login();
    const second = await change(first);
    await request(second);
    const third = await change(first); // in the tail: the session moves on from the second id
    expect(await request(second)).toMatchObject({ ...served, forwardTo: third });
    expect(alarms).toBe(0);
  });

  test('without a login nobody is forwarded: the old id may have been planted', async () => {
    const first = randomToken();
    await engine.save(engine.fresh(first), { cookie: {}, basket: 1 }, null);
    const opened = await request(first);
    if (opened.kind === 'live') await engine.save(await engine.move(opened.entry, first, randomToken()), DATA, null);
    expect(await request(first)).toEqual({ kind: 'anonymous' });
  });

  test('of a revoked login it is bounced, never forwarded; of a logged-out one it is anonymous', async () => {
    const first = await login();
    const second = await change(first);
    const worker = redisSessions(redis, keys, DAY_MS);
    const kill = { lid, handle: sessionHandle(second), reason: 'country_changed', caseId: 'CASE', atMs: now } as const;
    await worker.revoke([kill]);
    for (const id of [first, second]) expect(await request(id)).toMatchObject({ kind: 'revoked' });
    lid = randomToken();
    const other = await login();
    const next = await change(other);
    await engine.end(sessionHandle(other));
    for (const id of [other, next]) expect(await request(id)).toEqual({ kind: 'anonymous' });
    expect(alarms).toBe(0);
  });
});
