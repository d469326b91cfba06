import { describe, expect, test } from '@jest/globals';
import type { Lists } from '../../src/desk-ports.ts';
import type { ListEntry, NewListEntry } from '../../src/domain/lists.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisLists, watchLists } from '../../src/redis/lists.ts';
import { captureLog, connect, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const NOW = Date.now();
const block = (value: string, more: Partial<NewListEntry> = {}): NewListEntry => ({
  list: 'block',
  kind: 'address',
  value,
  by: 'ann',
  why: 'a test',
  expiresAtMs: null,
  ...more,
});

function open() {
  const redis = connect();
  const keys = keysFor(testPrefix());
  return { redis, keys, lists: redisLists(redis, keys) };
}

describe('redisLists', () => {
  test('keeps what is valid, in its one spelling, newest first, and changes its revision each time', async () => {
    const { lists } = open();
    const before = await lists.revision();
    const first = await lists.add(block('2001:DB8::1'), NOW);
    const between = await lists.revision();
    const second = await lists.add(block('AS64500', { kind: 'asn', list: 'allow', expiresAtMs: NOW + 1000 }), NOW + 1);
    expect(first).toMatchObject({ value: '2001:db8::1', by: 'ann', createdAtMs: NOW });
    expect(await lists.list(NOW + 2)).toEqual([second, first]);
    expect(await lists.remove(first.id)).toEqual(first);
    expect(await lists.remove(first.id)).toBeNull();
    expect(await lists.list(NOW + 2)).toEqual([second]);
    expect(new Set([before, between, await lists.revision()]).size).toBe(3);
    await expect(lists.add(block('0.0.0.0/0', { kind: 'network' }), NOW)).rejects.toMatchObject({
      code: 'option_invalid',
    });
  });

  test('what has expired is left out, and removed behind the answer; what cannot be read harms nobody', async () => {
    const { redis, keys, lists } = open();
    await lists.add(block('203.0.113.7', { expiresAtMs: NOW + 10 }), NOW);
    const stays = await lists.add(block('203.0.113.8'), NOW);
    await redis.hset(keys.lists(), 'damaged', '{');
    expect(await lists.list(NOW + 10)).toEqual([stays]);
    await until(async () => (await redis.hlen(keys.lists())) === 2);
  });

  test('of two who remove one entry at once, one has', async () => {
    const { lists } = open();
    const { id } = await lists.add(block('203.0.113.7'), NOW);
    const removed = await Promise.all([lists.remove(id), lists.remove(id)]);
    expect(removed.filter((one) => one !== null)).toHaveLength(1);
  });
});

describe('watchLists', () => {
  /** Counts what is asked of Redis. */
  function watched() {
    const { lists } = open();
    const asked = { revision: 0, list: 0 };
    let isAway = false;
    let nowMs = NOW;
    const counted: Lists = {
      ...lists,
      revision: () => {
        asked.revision++;
        return isAway ? Promise.reject(new Error('away')) : lists.revision();
      },
      list: (atMs) => {
        asked.list++;
        return lists.list(atMs);
      },
    };
    const log = captureLog();
    const watch = watchLists(counted, { clock: () => nowMs, log });
    return {
      lists,
      asked,
      log,
      watch,
      pass: (ms: number) => {
        nowMs += ms;
      },
      goAway: (away: boolean) => {
        isAway = away;
      },
    };
  }

  test('looks once a second at most, and reads the entries only when they changed', async () => {
    const { lists, asked, watch, pass } = watched();
    await Promise.all([watch.fresh(), watch.fresh(), watch.fresh()]);
    expect(asked).toEqual({ revision: 1, list: 1 });
    await lists.add(block('203.0.113.7'), NOW);
    expect((await watch.fresh()).size).toBe(0);
    pass(1000);
    expect((await watch.fresh()).size).toBe(1);
    for (let i = 0; i < 5; i++) {
      pass(1000);
      await watch.fresh();
    }
    expect(asked).toEqual({ revision: 7, list: 2 });
  });

  test('trouble keeps the old lists, and is told; without any a batch waits', async () => {
    const { lists, log, watch, pass, goAway } = watched();
    goAway(true);
    await expect(watch.fresh()).rejects.toThrow('away');
    goAway(false);
    await lists.add(block('203.0.113.7'), NOW);
    expect((await watch.fresh()).size).toBe(1);
    goAway(true);
    pass(1000);
    expect((await watch.fresh()).size).toBe(1);
    expect(log.entries.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });
});

describe('a worker with lists', () => {
  test('ends what is blocked, lets pass what is allowed, and takes over a change while it runs', async () => {
    const prefix = testPrefix();
    const keys = keysFor(prefix);
    const redis = connect();
    const lists = redisLists(redis, keys);
    const blocked = await lists.add(block(ADDRESS.paris), Date.now());
    await lists.add(block('NG', { kind: 'country', list: 'allow' }), Date.now());
    const shop = await openShop(prefix);
    await openWorker(prefix, { brake: { minLogins: 1, share: 0.001 } });
    const counters = redisCounters(redis, keys);
    const login = async (address: string, user: string) => {
      const before = (await counters.read()).logins ?? 0;
      const browser = shop.browser(address);
      await browser.login(user);
      await until(async () => (await counters.read()).logins === before + 1);
      return browser;
    };

    // The first login of this user, from a place that nothing speaks against: and the brake has no word in it.
    const refused = await login(ADDRESS.paris, 'bob');
    expect(await refused.user()).not.toBe('bob');
    const [incident] = (await redisIncidents(redis, keys, 1e9).list({ userId: 'bob' }, 10)).incidents;
    expect(incident).toMatchObject({
      reason: 'blocked',
      action: 'revoke',
      outcome: 'revoked',
      listEntryId: blocked.id,
    });

    await login(ADDRESS.london, 'alice');
    const excused = await login(ADDRESS.lagos, 'alice');
    expect(await excused.user()).toBe('alice');
    expect(await counters.read()).toMatchObject({ 'reason:allowed_by_list': 1, 'reason:blocked': 1 });

    const entries: ListEntry[] = await lists.list(Date.now());
    for (const { id } of entries) await lists.remove(id);
    let tries = 0;
    await until(async () => {
      const user = `carl-${++tries}`;
      return (await (await login(ADDRESS.paris, user)).user()) === user;
    });
    expect((await redisIncidents(redis, keys, 1e9).list({ userId: 'alice' }, 10)).incidents).toEqual([]);
  }, 20_000);
});
