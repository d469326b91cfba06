/** The end of a login at a PHP site: its sessions lie where phpredis keeps them, and its requests write back what they had. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { sealsOf } from '../../src/php/seal.ts';
import { MAX_SESSION_BYTES } from '../../src/php/session-data.ts';
import type { PhpSessions } from '../../src/ports.ts';
import { openPhpRedis } from '../../src/redis/connection.ts';
import { redisPhpSessions } from '../../src/redis/php-sessions.ts';
import { redisUndo } from '../../src/redis/undo.ts';
import { captureLog, connect, privateRedis, release, testRedisUrl, until } from '../support/index.ts';
import { findPhp, runPhp } from '../support/php-cli.ts';
import { ended, handleOf, live, newId, newLid, openPhpEndingSite, PHP_KEYS } from '../support/php-ending.ts';

const HEX_IGBINARY = (lid: string) =>
  Buffer.concat([
    Buffer.from('00000002140211', 'hex'),
    Buffer.from('\x08username\x11\x05alice\x11\x0bbouncer_lid\x11', 'latin1'),
    Buffer.from([lid.length]),
    Buffer.from(lid),
  ]);

/** As LZF writes what it cannot shorten: runs of at most 32 bytes, each after its length. phpredis puts nothing before it. */
function lzf(text: string): Buffer {
  const runs: Buffer[] = [];
  for (let at = 0; at < text.length; at += 32) {
    const run = Buffer.from(text.slice(at, at + 32), 'latin1');
    runs.push(Buffer.from([run.length - 1]), run);
  }
  return Buffer.concat(runs);
}

/** Two adapters in one: `before` runs between reading a session and writing it. */
function racing(before: (id: string, round: number) => Promise<void>): PhpSessions & { sessionPrefix: string } {
  const sessionPrefix = `race-${newId()}:`;
  const inner = redisPhpSessions(connect(), { sessionPrefix, locking: false, lockWaitMs: 0 });
  let round = 0;
  return {
    ...inner,
    sessionPrefix,
    async replace(id, read, now) {
      await before(id, round++);
      return inner.replace(id, read, now);
    },
  };
}

describe('ending a PHP session', () => {
  test('sets the variable to NULL, keeps the rest and the time to live, and marks the login', async () => {
    const site = openPhpEndingSite();
    const [lid, id] = [newLid(), newId()];
    await site.put(id, live(lid));
    await site.redis.expire(site.key(id), 500);
    const atMs = Date.now();
    expect(await site.end(lid, id, { atMs })).toEqual({ outcome: 'revoked', atMs, php: { how: 'nulled' } });
    expect(await site.get(id)).toBe(ended(lid));
    const ttl = await site.redis.ttl(site.key(id));
    expect(ttl).toBeGreaterThan(490);
    expect(ttl).toBeLessThanOrEqual(500);
    expect(JSON.parse((await site.redis.get(site.keys.loginEnd(lid))) ?? '')).toMatchObject({
      caseId: 'AAAA-BBBB-CCCC',
    });
    // Again: the same answer, nothing else written.
    expect(await site.end(lid, id, { again: true })).toEqual({ outcome: 'revoked', atMs, php: { how: 'nulled' } });
  });

  test('the mark stands before any session is touched', async () => {
    const lid = newLid();
    let markAtWrite: string | null = null;
    const race = racing(async () => {
      markAtWrite = await site.redis.get(site.keys.loginEnd(lid));
    });
    const site = openPhpEndingSite({ sessions: race, sessionPrefix: race.sessionPrefix });
    const id = newId();
    await site.put(id, live(lid));
    expect((await site.end(lid, id)).outcome).toBe('revoked');
    expect(markAtWrite).toContain('country_changed');
  });

  test('format php_serialize', async () => {
    const site = openPhpEndingSite({ format: 'php_serialize' });
    const [lid, id] = [newLid(), newId()];
    const data = (user: string) => `a:2:{s:8:"username";${user}s:11:"bouncer_lid";s:${lid.length}:"${lid}";}`;
    await site.put(id, data('s:5:"alice";'));
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'revoked', php: { how: 'nulled' } });
    expect(await site.get(id)).toBe(data('N;'));
  });

  test('destroys it where that is configured', async () => {
    const site = openPhpEndingSite({ end: 'destroy' });
    const [lid, id] = [newLid(), newId()];
    await site.put(id, live(lid));
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'revoked', php: { how: 'destroyed' } });
    expect(await site.get(id)).toBeNull();
  });

  test.each<[string, (lid: string) => string | Buffer]>([
    ['igbinary', HEX_IGBINARY],
    ['compressed', () => Buffer.from('28b52ffd2001', 'hex')],
    ['unreadable', (lid) => lzf(live(lid))],
    ['unreadable', (lid) => lzf(`pad|s:20:"${'x'.repeat(20)}";${live(lid)}`)],
    ['too_large', (lid) => `${live(lid)}x|s:5000000:"${'x'.repeat(MAX_SESSION_BYTES)}`],
    ['unreadable', (lid) => `${live(lid)}c|C:1:"X":2:{ab}`],
    ['field_missing', (lid) => live(lid).replace('username', 'user')],
  ])('%s: destroys it, and says so', async (why, data) => {
    const site = openPhpEndingSite();
    const [lid, id] = [newLid(), newId()];
    await site.put(id, data(lid));
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'revoked', php: { how: 'destroyed', why } });
    expect(await site.get(id)).toBeNull();
  });

  test.each<[string, (lid: string) => string | Buffer]>([
    ['readable', live],
    ['igbinary', HEX_IGBINARY],
    ['unreadable', (lid) => `${live(lid)}c|C:1:"X":2:{ab}`],
  ])("another login's session under the same id stays as it is: %s", async (_, data) => {
    const site = openPhpEndingSite();
    const [lid, other, id] = [newLid(), newLid(), newId()];
    await site.put(id, data(other));
    const before = await site.redis.getBuffer(site.key(id));
    expect(await site.end(lid, id)).toEqual({ outcome: 'other_login', atMs: 0, php: { how: 'untouched' } });
    expect((await site.redis.getBuffer(site.key(id)))?.equals(before as Buffer)).toBe(true);
  });

  test('nothing there, here or elsewhere: not found, never a success', async () => {
    const site = openPhpEndingSite({ retryDelaysMs: [1, 1] });
    const [lid, id] = [newLid(), newId()];
    const none = { outcome: 'not_found', php: { how: 'untouched', why: 'absent' } };
    expect(await site.end(lid, id)).toMatchObject(none);
    // It lives, but under another prefix.
    await site.redis.set(`${site.prefix}:ANOTHER_SITE:${id}`, live(lid));
    expect(await site.end(lid, id)).toMatchObject(none);
    // An anonymous session: the login's own request has not saved yet.
    await site.put(id, 'cart|a:0:{}');
    expect(await site.end(lid, id)).toMatchObject(none);
    await site.put(id, 'username|N;');
    expect(await site.end(lid, id)).toMatchObject(none);
    expect(await site.get(id)).toBe('username|N;');
  });

  test('another Redis: not found', async () => {
    const elsewhere = await privateRedis();
    const site = openPhpEndingSite({ phpRedis: connect(elsewhere.url), retryDelaysMs: [1] });
    const [lid, id] = [newLid(), newId()];
    await site.redis.set(site.key(id), live(lid));
    expect((await site.end(lid, id)).outcome).toBe('not_found');
    expect(await site.redis.get(site.key(id))).toBe(live(lid));
  });

  test('a session without a login id in which somebody is logged in, under an id of this login', async () => {
    const site = openPhpEndingSite();
    const [lid, id] = [newLid(), newId()];
    await site.put(id, 'username|s:5:"alice";');
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'revoked', php: { how: 'nulled' } });
    expect(await site.get(id)).toBe('username|N;');
  });

  test('a login request that saves a moment later is waited for', async () => {
    const [lid, id] = [newLid(), newId()];
    const inner = racing(async () => {});
    let reads = 0;
    const late: typeof inner = {
      ...inner,
      async read(...which) {
        const found = await inner.read(...which);
        reads += 1;
        if (reads === 1) await site.put(id, live(lid));
        return found;
      },
    };
    const site = openPhpEndingSite({ sessions: late, sessionPrefix: inner.sessionPrefix });
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'revoked', php: { how: 'nulled' } });
    expect(reads).toBeGreaterThan(1);
    expect(await site.get(id)).toBe(ended(lid));
  });

  test('a login that a person has given back is left alone', async () => {
    const site = openPhpEndingSite();
    const [lid, id] = [newLid(), newId()];
    await site.put(id, live(lid));
    const atMs = Date.now();
    await site.end(lid, id, { atMs });
    await redisUndo(site.redis, site.keys).lift({ lid, handle: handleOf(id), atMs: Date.now() });
    await site.put(id, live(lid));
    expect(await site.end(lid, id, { again: true, atMs })).toMatchObject({ lifted: true });
    expect(await site.get(id)).toBe(live(lid));
  });

  test('a login of no PHP site gets the answer that it always got', async () => {
    const site = openPhpEndingSite();
    const result = await site.end(newLid(), null);
    expect(result).toMatchObject({ outcome: 'not_found' });
    expect(result).not.toHaveProperty('php');
  });
});

describe('the ids that a PHP login moved to', () => {
  test('are found in its index, all of them, also without the event', async () => {
    const site = openPhpEndingSite();
    const [lid, old] = [newLid(), newId()];
    const ids = Array.from({ length: 45 }, newId);
    for (const id of ids) {
      await site.enrol(lid, id);
      await site.put(id, live(lid));
    }
    expect(await site.end(lid, old)).toMatchObject({ outcome: 'revoked', php: { how: 'nulled' } });
    expect(new Set(await Promise.all(ids.map(site.get)))).toEqual(new Set([ended(lid)]));
    await site.put(ids[7] as string, live(lid));
    expect(await site.end(lid, null, { again: true })).toMatchObject({ outcome: 'revoked' });
    expect(await site.get(ids[7] as string)).toBe(ended(lid));
    expect(site.log.text()).toContain('php_ended_again');
  });

  test('one that is enrolled while the others are being ended is ended too', async () => {
    const lid = newLid();
    const late = newId();
    const race = racing(async (_, round) => {
      if (round > 0) return;
      await site.enrol(lid, late);
      await site.put(late, live(lid));
    });
    const site = openPhpEndingSite({ sessions: race, sessionPrefix: race.sessionPrefix });
    const id = newId();
    await site.put(id, live(lid));
    expect((await site.end(lid, id)).outcome).toBe('revoked');
    expect(await site.get(late)).toBe(ended(lid));
  });

  test('more than a batch may wait for: its own first, a thousand at once, and a re-check ends the rest', async () => {
    const site = openPhpEndingSite();
    const [lid, id] = [newLid(), newId()];
    const ids = Array.from({ length: 1004 }, newId);
    const live_ = site.redis.pipeline();
    for (const one of ids) {
      live_.set(site.key(one), live(lid)).hset(site.keys.phpIds(lid), handleOf(one), site.seals.seal(one, lid));
    }
    await live_.exec();
    await site.put(id, live(lid));
    const lives = async () =>
      (await site.redis.mget([id, ...ids].map(site.key))).flatMap((data, i) => (data === live(lid) ? [i] : []));
    const php = { how: 'nulled', why: 'too_many', left: 5 };
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'revoked', php });
    const left = await lives();
    expect(left).toHaveLength(5);
    expect(left).not.toContain(0);
    expect(site.log.entries).toMatchObject([{ level: 'warn', fields: { event: 'php_too_many_ids', left: 5 } }]);
    expect(await site.end(lid, id, { again: true })).toMatchObject({ outcome: 'revoked', php: { how: 'nulled' } });
    expect(await lives()).toEqual([]);
  });

  test('many that are absent are not all looked for again; the own one is, and what is noted meanwhile', async () => {
    const lid = newLid();
    const inner = racing(async () => {});
    const reads = new Map<string, number>();
    const counting: typeof inner = {
      ...inner,
      read(id, maxBytes) {
        reads.set(id, (reads.get(id) ?? 0) + 1);
        return inner.read(id, maxBytes);
      },
    };
    const site = openPhpEndingSite({ sessions: counting, sessionPrefix: inner.sessionPrefix, retryDelaysMs: [1, 1] });
    const [id, ...others] = Array.from({ length: 101 }, newId) as [string, ...string[]];
    for (const other of others) await site.enrol(lid, other);
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'not_found', php: { why: 'absent' } });
    expect(reads.get(id)).toBe(3);
    const total = [...reads.values()].reduce((sum, count) => sum + count, 0);
    expect(total).toBeLessThanOrEqual(101 + 2 * 21);
    expect(reads.size).toBe(101);
  });

  test('the last re-check forgets those that are absent, unless all of them are', async () => {
    const site = openPhpEndingSite({ retryDelaysMs: [] });
    const [lid, id, gone] = [newLid(), newId(), newId()];
    await site.enrol(lid, id);
    await site.enrol(lid, gone);
    const known = async () => new Set(await site.redis.hkeys(site.keys.phpIds(lid)));
    const both = new Set([handleOf(id), handleOf(gone)]);
    await site.end(lid, id, { again: true, last: true });
    expect(await known()).toEqual(both);
    await site.put(id, live(lid));
    await site.end(lid, id, { again: true });
    expect(await known()).toEqual(both);
    await site.end(lid, id, { again: true, last: true });
    expect(await known()).toEqual(new Set([handleOf(id)]));
  });

  test('one that stays busy does not keep the others from their end in a re-check', async () => {
    const [lid, busy] = [newLid(), newId()];
    let round = 0;
    const race = racing(async (id) => {
      if (id === busy) await site.put(id, `round|i:${round++};${live(lid)}`);
    });
    const site = openPhpEndingSite({ sessions: race, sessionPrefix: race.sessionPrefix });
    const ids = Array.from({ length: 45 }, newId);
    for (const id of ids) {
      await site.enrol(lid, id);
      await site.put(id, live(lid));
    }
    await site.put(busy, live(lid));
    await expect(site.end(lid, busy, { again: true })).rejects.toMatchObject({ name: 'PhpSessionBusy' });
    expect(new Set(await Promise.all(ids.map(site.get)))).toEqual(new Set([ended(lid)]));
  });

  test('what another login sealed into the index, or nobody, is not followed', async () => {
    const site = openPhpEndingSite({ retryDelaysMs: [1] });
    const [lid, other, id] = [newLid(), newLid(), newId()];
    await site.put(id, 'username|s:5:"alice";');
    await site.redis.hset(site.keys.phpIds(lid), handleOf(id), site.seals.seal(id, other));
    await site.redis.hset(site.keys.phpIds(lid), handleOf('x'), 'rubbish');
    expect(await site.end(lid, null)).toMatchObject({ outcome: 'not_found', php: { why: 'not_opened' } });
    expect(await site.get(id)).toBe('username|s:5:"alice";');
  });
});

describe('several ids, of which not all could be ended', () => {
  test('what was not ended is told before what was', async () => {
    const site = openPhpEndingSite();
    const [lid, id] = [newLid(), newId()];
    const theirs = sealsOf({ k9: Buffer.alloc(32, 9).toString('base64') });
    for (const other of [newId(), newId()]) {
      await site.put(other, live(lid));
      await site.redis.hset(site.keys.phpIds(lid), handleOf(other), theirs.seal(other, lid));
    }
    await site.put(id, HEX_IGBINARY(lid));
    const php = { how: 'destroyed', why: 'unknown_key', left: 2 };
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'revoked', php });
  });

  test("none ended, one another login's: it is not said that there was nothing to end", async () => {
    const site = openPhpEndingSite();
    const [lid, id] = [newLid(), newId()];
    await site.put(id, live(newLid()));
    await site.redis.hset(site.keys.phpIds(lid), handleOf('x'), 'rubbish');
    const php = { how: 'untouched', why: 'not_opened' };
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'not_found', php });
  });
});

describe('a sealed id that does not open', () => {
  test.each([
    ['unknown_key', { k2: PHP_KEYS.k1 }],
    ['not_opened', { k1: Buffer.alloc(32).toString('base64') }],
  ])('%s: not found, and logged', async (why, keys) => {
    const site = openPhpEndingSite();
    const blind = openPhpEndingSite({
      seals: sealsOf(keys as Record<string, string>),
      sessionPrefix: site.sessionPrefix,
    });
    const [lid, id] = [newLid(), newId()];
    await site.put(id, live(lid));
    const php = site.seals.seal(id, lid);
    expect(await blind.end(lid, id, { php })).toMatchObject({ outcome: 'not_found', php: { how: 'untouched', why } });
    expect(await site.get(id)).toBe(live(lid));
    expect(blind.log.entries).toMatchObject([
      { level: 'error', fields: { event: 'php_id_not_opened', why, own: true } },
    ]);
    expect(blind.log.text()).not.toContain(id);
  });
});

describe('requests that run meanwhile', () => {
  test('a write between our read and our write is not lost, and ended in its turn', async () => {
    const lid = newLid();
    const race = racing(async (id, round) => {
      if (round < 3) await site.put(id, `round|i:${round};${live(lid)}`);
    });
    const site = openPhpEndingSite({ sessions: race, sessionPrefix: race.sessionPrefix });
    const id = newId();
    await site.put(id, live(lid));
    expect((await site.end(lid, id)).outcome).toBe('revoked');
    expect(await site.get(id)).toBe(`round|i:2;${ended(lid)}`);
  });

  test('one that writes each time, as long as we try: no success, and a re-check fails so that it is tried again', async () => {
    const lid = newLid();
    const race = racing((id, round) => site.put(id, `round|i:${round};${live(lid)}`));
    const site = openPhpEndingSite({ sessions: race, sessionPrefix: race.sessionPrefix });
    const id = newId();
    await site.put(id, live(lid));
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'not_found', php: { how: 'untouched', why: 'busy' } });
    await expect(site.end(lid, id, { again: true })).rejects.toMatchObject({ name: 'PhpSessionBusy' });
  });

  test('a Redis of PHP that is away: soon said, the mark stands, and a re-check fails so that it is tried again', async () => {
    const away = openPhpRedis('redis://127.0.0.1:1', captureLog());
    release(() => away.disconnect());
    const site = openPhpEndingSite({ phpRedis: away });
    const [lid, id] = [newLid(), newId()];
    const none = { outcome: 'not_found', php: { how: 'untouched', why: 'unavailable' } };
    expect(await site.end(lid, id)).toMatchObject(none);
    expect(site.log.text()).toContain('MaxRetriesPerRequestError');
    expect(await site.redis.exists(site.keys.loginEnd(lid))).toBe(1);
    await expect(site.end(lid, id, { again: true })).rejects.toMatchObject({ name: 'MaxRetriesPerRequestError' });
    expect(await site.end(newLid(), null)).not.toHaveProperty('php');
    // Of many ids the first twenty are tried: the batch waits for no more.
    const before = site.log.entries.length;
    for (let i = 0; i < 60; i++) await site.enrol(lid, newId());
    expect(await site.end(lid, id)).toMatchObject(none);
    expect(site.log.entries.length - before).toBe(20);
  });

  test('a Redis of PHP that stands still is given up on, too, and no end waits until it answers again', async () => {
    const server = await privateRedis();
    const still = openPhpRedis(server.url, captureLog());
    release(() => still.disconnect());
    const site = openPhpEndingSite({ phpRedis: still });
    const [lid, id] = [newLid(), newId()];
    await site.put(id, live(lid));
    server.pause();
    // One on its way when it stops, one that comes while the next connection gets no answer either.
    const ends = [await site.end(lid, id), await site.end(lid, id)];
    server.resume();
    const none = { outcome: 'not_found', php: { how: 'untouched', why: 'unavailable' } };
    expect(ends).toEqual([expect.objectContaining(none), expect.objectContaining(none)]);
    await until(() => site.end(lid, id).then(({ outcome }) => outcome === 'revoked'));
    expect(await site.get(id)).toBe(ended(lid));
  });
});

describe("phpredis's lock", () => {
  test('is taken with a secret and a time to live, and let go', async () => {
    const site = openPhpEndingSite();
    const store = redisPhpSessions(site.redis, { sessionPrefix: site.sessionPrefix, locking: true, lockWaitMs: 0 });
    const id = newId();
    const lock = await store.lock(id);
    expect(lock.isHeld).toBe(true);
    expect(await site.redis.get(site.lockKey(id))).toMatch(/^session-bouncer\|[\w-]{22}$/);
    expect(await site.redis.pttl(site.lockKey(id))).toBeGreaterThan(1000);
    expect((await store.lock(id)).isHeld).toBe(false);
    await lock.release();
    expect(await site.redis.exists(site.lockKey(id))).toBe(0);
  });

  test("that has become a request's is not let go by us", async () => {
    const site = openPhpEndingSite();
    const store = redisPhpSessions(site.redis, { sessionPrefix: site.sessionPrefix, locking: true, lockWaitMs: 0 });
    const id = newId();
    const lock = await store.lock(id);
    await site.redis.set(site.lockKey(id), 'web1|4711');
    await lock.release();
    expect(await site.redis.get(site.lockKey(id))).toBe('web1|4711');
  });

  test('a request that holds it is waited for, and what it wrote is ended', async () => {
    const site = openPhpEndingSite({ locking: true, lockWaitMs: 5000 });
    const [lid, id] = [newLid(), newId()];
    await site.put(id, live(lid));
    await site.redis.set(site.lockKey(id), 'web1|4711');
    const ending = site.end(lid, id);
    await until(() => site.redis.exists(site.keys.loginEnd(lid)));
    await sleep(50);
    expect(await site.get(id)).toBe(live(lid));
    await site.put(id, live(lid, 'bob'));
    await site.redis.del(site.lockKey(id));
    expect(await ending).toMatchObject({ outcome: 'revoked', php: { how: 'nulled' } });
    expect(await site.get(id)).toBe(ended(lid));
    expect(await site.redis.exists(site.lockKey(id))).toBe(0);
  });

  test('one that is held for longer: ended all the same, and said', async () => {
    const site = openPhpEndingSite({ locking: true, lockWaitMs: 30 });
    const [lid, id] = [newLid(), newId()];
    await site.put(id, live(lid));
    await site.redis.set(site.lockKey(id), 'web1|4711');
    expect(await site.end(lid, id)).toMatchObject({ outcome: 'revoked', php: { how: 'nulled', why: 'locked' } });
    expect(await site.get(id)).toBe(ended(lid));
    expect(await site.redis.get(site.lockKey(id))).toBe('web1|4711');
  });
});

describe('against phpredis itself', () => {
  const php = findPhp();
  if (!php?.hasRedis) {
    test('not tried, as there is no php-redis here', () => {
      expect(php?.hasRedis ?? false).toBe(false);
    });
  } else {
    test.each(['php', 'php_serialize', ...(php.hasIgbinary ? ['igbinary'] : [])])('%s', async (handler) => {
      const format = handler === 'php_serialize' ? 'php_serialize' : 'php';
      const site = openPhpEndingSite({ format });
      const [lid, id] = [newLid(), newId()];
      const cart = { 'ключ|': [1.5, true, null, 'é";}'] };
      const { host } = new URL(testRedisUrl());
      const where = [host, site.sessionPrefix, handler];
      runPhp('write-session.php', where, JSON.stringify([id, { username: 'alice', cart, bouncer_lid: lid }]));
      const how = handler === 'igbinary' ? { how: 'destroyed', why: 'igbinary' } : { how: 'nulled' };
      expect(await site.end(lid, id)).toMatchObject({ outcome: 'revoked', php: how });
      const read = JSON.parse(runPhp('write-session.php', [...where, 'read'], JSON.stringify([id, null])));
      expect(read).toEqual(handler === 'igbinary' ? [] : { username: null, cart, bouncer_lid: lid });
    });
  }
});
