/** Few questions: the cache, one question at a time, budgets. Against the Redis cache and the one in memory. */
import type { RequestListener } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { Budget, DEFAULT_RATES } from '../../src/geo/registry/budget.ts';
import { type LookupOptions, RegistryClient } from '../../src/geo/registry/lookup.ts';
import { memoryRegistryCache } from '../../src/geo/registry/memory-cache.ts';
import type { RegistryCache, RegistryEntry, RegistryOutcome } from '../../src/ports.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisRegistryCache } from '../../src/redis/registry-cache.ts';
import { captureLog, connect, testPrefix } from '../support/index.ts';
import { LoopbackInternet, lineServer, webServer } from '../support/loopback-internet.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const CACHES: Record<string, () => RegistryCache> = {
  Redis: () => redisRegistryCache(connect(), keysFor(testPrefix())),
  memory: () => memoryRegistryCache(Date.now),
};

interface World {
  readonly net: LoopbackInternet;
  readonly asked: string[];
  now: number;
  client(options?: Partial<LookupOptions>): RegistryClient;
}

/** `answer` by the address asked for: `first - last` and a country, or a handler of its own. */
async function world(cache: RegistryCache, answer: (ip: string) => object | RequestListener): Promise<World> {
  const asked: string[] = [];
  const net = new LoopbackInternet();
  const server = await webServer((request, response) => {
    const ip = decodeURIComponent((request.url ?? '').replace(/^.*\/ip\//, ''));
    asked.push(ip);
    const reply = answer(ip);
    if (typeof reply === 'function') return reply(request, response);
    setTimeout(() => response.end(JSON.stringify({ objectClassName: 'ip network', ...reply })), 20);
  });
  for (const host of ['rdap.arin.net', 'rdap.db.ripe.net']) net.serve(`${host}:443`, server.port);
  const made: World = {
    net,
    asked,
    now: Date.now(),
    client: (options = {}) => {
      const clock = () => made.now;
      return new RegistryClient({ cache, log: captureLog(), clock, transport: net, random: () => 0.5, ...options });
    },
  };
  return made;
}

const net = (startAddress: string, endAddress: string, country: string, more = {}) => ({
  startAddress,
  endAddress,
  country,
  ...more,
});

const wordOf = (outcome: RegistryOutcome) => (outcome.kind === 'word' ? outcome.word : null);

describe.each(Object.keys(CACHES))('with the cache in %s', (name) => {
  const open = CACHES[name] as () => RegistryCache;

  test('500 lookups at once in one /24 ask once', async () => {
    const w = await world(open(), () => net('8.8.0.0', '8.8.255.255', 'US'));
    const client = w.client();
    const outcomes = await Promise.all(Array.from({ length: 500 }, (_, i) => client.lookup(`8.8.8.${i % 256}`)));
    expect(w.asked).toHaveLength(1);
    expect(new Set(outcomes.map((outcome) => wordOf(outcome)?.country))).toEqual(new Set(['US']));
  });

  test('so do those of two processes', async () => {
    const w = await world(open(), () => net('8.8.8.0', '8.8.8.255', 'US'));
    const clients = [w.client(), w.client()];
    await Promise.all(Array.from({ length: 100 }, (_, i) => clients[i % 2]?.lookup(`8.8.8.${i}`)));
    expect(w.asked).toHaveLength(1);
  });

  test('a sibling in another /24 is not answered from the parent of both', async () => {
    const w = await world(open(), (ip) =>
      ip.startsWith('8.8.8.') ? net('8.8.0.0', '8.8.255.255', 'US') : net('8.8.9.0', '8.8.9.255', 'CA'),
    );
    const client = w.client();
    expect(wordOf(await client.lookup('8.8.8.1'))?.country).toBe('US');
    expect(wordOf(await client.lookup('8.8.9.1'))?.country).toBe('CA');
    expect(w.asked).toEqual(['8.8.8.1', '8.8.9.1']);
  });

  test('a sibling in a smaller object of the same /24 is not answered from its neighbour, nor at once with it', async () => {
    const objects = [net('8.8.8.0', '8.8.8.127', 'US'), net('8.8.8.128', '8.8.8.255', 'CA')];
    const w = await world(open(), (ip) => objects[Number(ip.split('.')[3]) < 128 ? 0 : 1] ?? {});
    const client = w.client();
    const all = await Promise.all(['8.8.8.1', '8.8.8.200', '8.8.8.2', '8.8.8.201'].map((ip) => client.lookup(ip)));
    expect(all.map((outcome) => wordOf(outcome)?.country)).toEqual(['US', 'CA', 'US', 'CA']);
    expect(w.asked.sort()).toEqual(['8.8.8.1', '8.8.8.200']);
  });

  test('a smaller object that is known keeps its word, whatever its parent said later', async () => {
    const w = await world(open(), (ip) =>
      ip === '8.8.8.200' ? net('8.8.8.192', '8.8.8.255', 'CA') : net('8.0.0.0', '8.127.255.255', 'US'),
    );
    const client = w.client();
    await client.lookup('8.8.8.200');
    expect(wordOf(await client.lookup('8.8.8.1'))?.country).toBe('US');
    expect(wordOf(await client.lookup('8.8.8.201'))?.country).toBe('CA');
    expect(w.asked).toHaveLength(2);
  });

  test('500 at once in one /24 are one question, and a sibling in a smaller object of it is not answered from its parent', async () => {
    const w = await world(open(), (ip) =>
      ip === '8.8.8.250' ? net('8.8.8.248', '8.8.8.251', 'CA') : net('8.8.0.0', '8.8.255.255', 'US'),
    );
    const client = w.client();
    await Promise.all(Array.from({ length: 500 }, (_, i) => client.lookup(`8.8.8.${i % 200}`)));
    expect(w.asked).toEqual(['8.8.8.0']);
    w.now += 1;
    expect(wordOf(await client.lookup('8.8.8.250'))?.country).toBe('CA');
    // One that is in no smaller object is asked about too, for nobody knew; but once, and nobody else again.
    expect(wordOf(await client.lookup('8.8.8.9'))?.country).toBe('US');
    const again = await Promise.all(['8.8.8.0', '8.8.8.9', '8.8.8.250', '8.8.8.251'].map((ip) => client.lookup(ip)));
    expect(again.map((outcome) => wordOf(outcome)?.country)).toEqual(['US', 'US', 'CA', 'CA']);
    expect(w.asked).toEqual(['8.8.8.0', '8.8.8.250', '8.8.8.9']);
  });

  test('who has waited since before an answer came is given it, as a neighbour`s; who came later asks', async () => {
    const w = await world(open(), () => net('8.8.0.0', '8.8.255.255', 'US'));
    const client = w.client();
    const cameAtMs = w.now;
    expect(wordOf(await client.lookup('8.8.8.1', cameAtMs))).not.toHaveProperty('isNeighbours');
    w.now += 60_000;
    expect(wordOf(await client.lookup('8.8.8.2', cameAtMs))).toMatchObject({ country: 'US', isNeighbours: true });
    expect(wordOf(await client.lookup('8.8.8.1', cameAtMs))).not.toHaveProperty('isNeighbours');
    expect(w.asked).toEqual(['8.8.8.1']);
    expect(wordOf(await client.lookup('8.8.8.3', cameAtMs + 1))).not.toHaveProperty('isNeighbours');
    expect(w.asked).toEqual(['8.8.8.1', '8.8.8.3']);
  });

  test('one that waited for the answer of another process takes it for its own', async () => {
    const w = await world(open(), () => net('8.8.0.0', '8.8.255.255', 'US'));
    const clients = [w.client(), w.client()];
    await Promise.all(clients.map((client, i) => client.lookup(`8.8.8.${i}`)));
    expect(w.asked).toHaveLength(1);
  });

  test('who was asked about is known as long as its own answer, however often its neighbours are', async () => {
    const w = await world(open(), () => net('8.8.0.0', '8.8.255.255', 'US'));
    const client = w.client();
    await client.lookup('8.8.8.1');
    w.now += 6 * DAY_MS;
    await client.lookup('8.8.8.2');
    w.now += 2 * DAY_MS;
    await client.lookup('8.8.8.2');
    await client.lookup('8.8.8.1');
    expect(w.asked).toEqual(['8.8.8.1', '8.8.8.2', '8.8.8.1']);
  });

  test('IPv6: each /64 for itself; an object of a /48 is whole', async () => {
    const w = await world(open(), (ip) =>
      ip.startsWith('2001:4860:4861')
        ? net('2001:4860:4861::', '2001:4860:4861:ffff:ffff:ffff:ffff:ffff', 'US')
        : net('2001:4860::', '2001:4860:ffff:ffff:ffff:ffff:ffff:ffff', 'US'),
    );
    const client = w.client();
    const ips = ['2001:4860:4860::8888', '2001:4860:4860::1', '2001:4860:4860:1::1'];
    for (const ip of [...ips, '2001:4860:4861::1', '2001:4860:4861:1::1']) await client.lookup(ip);
    expect(w.asked).toEqual(['2001:4860:4860::8888', '2001:4860:4860:1::1', '2001:4860:4861::1']);
  });

  test('a good answer is kept for a week, none for an hour, a refusal not at all', async () => {
    const missing: RequestListener = (_, response) => response.writeHead(404).end();
    const w = await world(open(), (ip) => (ip === '8.8.8.8' ? net('8.8.8.0', '8.8.8.255', 'US') : missing));
    const client = w.client();
    const ask = async (ip: string, afterMs: number) => {
      w.now += afterMs;
      const before = w.asked.length;
      const outcome = await client.lookup(ip);
      return [wordOf(outcome)?.status, w.asked.length - before];
    };
    expect(await ask('8.8.8.8', 0)).toEqual(['ok', 1]);
    expect(await ask('8.8.8.8', 6 * DAY_MS)).toEqual(['ok', 0]);
    expect(await ask('8.8.8.8', 2 * DAY_MS)).toEqual(['ok', 1]);
    expect(await ask('8.9.9.9', 0)).toEqual(['none', 1]);
    expect(await ask('8.9.9.9', HOUR_MS / 2)).toEqual(['none', 0]);
    expect(await ask('8.9.9.10', 0)).toEqual(['none', 1]); // nothing was said of its neighbour
    expect(await ask('8.9.9.9', HOUR_MS)).toEqual(['none', 1]);
  });

  test('a refusal opens the circuit of that registry alone, for as long as it says', async () => {
    let refusing = true;
    const refusal: RequestListener = (_, response) => response.writeHead(429, { 'retry-after': '120' }).end('<html>');
    const w = await world(open(), (ip) => {
      if (ip.startsWith('193.')) return net('193.0.0.0', '193.0.255.255', 'NL');
      return refusing ? refusal : net('8.8.8.0', '8.8.8.255', 'US');
    });
    const client = w.client();
    expect(await client.lookup('8.8.8.8')).toEqual({ kind: 'later', afterMs: 120_000, why: 'rate-limited' });
    refusing = false;
    w.now += 119_000;
    expect(await client.lookup('8.8.8.8')).toEqual({ kind: 'later', afterMs: 1000, why: 'budget' });
    expect(await client.lookup('8.1.1.1')).toMatchObject({ kind: 'later' });
    expect(wordOf(await client.lookup('193.0.9.9'))?.country).toBe('NL');
    expect(w.asked).toEqual(['8.8.8.8', '193.0.9.9']);
    w.now += 2000;
    expect(wordOf(await client.lookup('8.8.8.8'))?.country).toBe('US');
  });

  test('an entry of the cache that makes no sense is no answer', async () => {
    const cache = open();
    const entry = { range: 'all of it', word: {}, feed: null, expiresAtMs: Date.now() + DAY_MS } as unknown;
    await cache.write('8.8.8.0/24', entry as RegistryEntry);
    const w = await world(cache, () => net('8.8.8.0', '8.8.8.255', 'US'));
    expect(wordOf(await w.client().lookup('8.8.8.8'))?.country).toBe('US');
  });
});

describe('a lookup', () => {
  test('asks nobody about what has no registry', async () => {
    const w = await world(CACHES.memory?.() as RegistryCache, () => ({}));
    for (const ip of ['10.0.0.1', '127.0.0.1', '192.0.2.1', '::1', '2002:808:808::1', '3fff::1', 'x', '', '8.8.8']) {
      expect(await w.client().lookup(ip)).toEqual({ kind: 'nobody' });
    }
    expect(w.net.dialled).toEqual([]);
  });

  test('goes to whois where RDAP fails, and not where it refuses', async () => {
    const down: RequestListener = (_, response) => response.writeHead(500).end();
    const w = await world(CACHES.memory?.() as RegistryCache, () => down);
    const queries: string[] = [];
    const server = await lineServer((line, socket) => {
      queries.push(line);
      socket.end('NetRange: 8.8.8.0 - 8.8.8.255\n\nOrgName: X\nCountry: US\n');
    });
    w.net.serve('whois.arin.net:43', server.port);
    expect(wordOf(await w.client().lookup('8.8.8.8'))).toMatchObject({
      registry: 'arin',
      via: 'whois',
      server: 'whois.arin.net',
      country: 'US',
      range: '8.8.8.0/24',
    });
    expect(queries).toEqual(['n + 8.8.8.8']);
    const refusing = await world(CACHES.memory?.() as RegistryCache, () => (_: unknown, r) => r.writeHead(429).end());
    expect(await refusing.client().lookup('8.8.8.8')).toMatchObject({ kind: 'later', why: 'rate-limited' });
    expect(refusing.net.dialled).toEqual(['rdap.arin.net:443']);
  });

  test('failing again and again, a registry is left alone', async () => {
    const w = await world(CACHES.memory?.() as RegistryCache, () => (_: unknown, r) => r.writeHead(500).end());
    const client = w.client();
    for (let i = 0; i < 5; i++) await client.lookup(`8.8.${i}.1`);
    const dialled = w.net.dialled.length;
    expect(await client.lookup('8.8.9.1')).toMatchObject({ kind: 'later', why: 'budget' });
    expect(w.net.dialled).toHaveLength(dialled);
  });

  test('reads the geofeed that the entry links, and matches each address for itself', async () => {
    const links = [{ rel: 'geo', type: 'application/geofeed+csv', href: 'https://geo.example.net/feed.csv' }];
    const w = await world(CACHES.memory?.() as RegistryCache, () => net('8.8.8.0', '8.8.8.255', 'US', { links }));
    let fetched = 0;
    const server = await webServer((_, response) => {
      fetched += 1;
      response.end('8.8.8.0/25,DE,,,\n"8.8.8.64/26","FR",,,\n8.8.8.200/32,EU,,,\n8.8.8.201/32,GB\n8.8.8.201/32,IE\n');
    });
    w.net.serve('geo.example.net:443', server.port);
    const client = w.client();
    const feedOf = async (ip: string) => wordOf(await client.lookup(ip))?.geofeed;
    const host = 'geo.example.net';
    expect(await feedOf('8.8.8.8')).toEqual({ host, prefix: '8.8.8.0/25', country: 'DE' });
    expect(await feedOf('8.8.8.70')).toEqual({ host, prefix: '8.8.8.64/26', country: 'FR' });
    expect(await feedOf('8.8.8.150')).toEqual({ host, prefix: null, country: null, note: 'no_row' });
    expect(await feedOf('8.8.8.200')).toMatchObject({ country: null, note: 'pseudo:EU' });
    expect(await feedOf('8.8.8.201')).toMatchObject({ country: null, note: 'conflict' });
    expect([w.asked.length, fetched]).toEqual([1, 1]);
  });
});

describe('a geofeed', () => {
  const links = [{ rel: 'geo', href: 'https://geo.example.net/feed.csv' }];
  const rates = { ...DEFAULT_RATES, arin: { burst: 1000, perMinute: 1000 } };

  async function withFeed(cache: RegistryCache, respond: () => string | null = () => '8.8.0.0/16,DE\n') {
    const w = await world(cache, () => net('8.8.0.0', '8.8.255.255', 'US', { links }));
    let fetched = 0;
    const server = await webServer((_, response) => {
      fetched += 1;
      const text = respond();
      response.writeHead(text === null ? 500 : 200).end(text ?? '');
    });
    w.net.serve('geo.example.net:443', server.port);
    return { w, client: w.client({ rates }), fetched: () => fetched };
  }

  test.each(Object.keys(CACHES))('whose host was asked too often costs no second question (%s)', async (name) => {
    const { w, client, fetched } = await withFeed((CACHES[name] as () => RegistryCache)());
    for (let i = 0; i < 20; i++) await client.lookup(`8.8.${i}.1`);
    expect([w.asked.length, fetched()]).toEqual([20, 20]);
    const waiting = await Promise.all([client.lookup('8.8.20.1'), client.lookup('8.8.20.1')]);
    expect(waiting).toMatchObject([
      { kind: 'later', why: 'budget' },
      { kind: 'later', why: 'budget' },
    ]);
    expect(await client.lookup('8.8.20.1')).toMatchObject({ kind: 'later', why: 'budget' });
    w.now += 60_000;
    expect(wordOf(await client.lookup('8.8.20.1'))).toMatchObject({ country: 'US', geofeed: { country: 'DE' } });
    expect([w.asked.length, fetched()]).toEqual([21, 21]);
  });

  test('is not read again for a sibling of the same object, and no longer kept for it', async () => {
    const { w, client, fetched } = await withFeed(memoryRegistryCache(Date.now));
    await client.lookup('8.8.8.1');
    w.now += 6 * DAY_MS;
    expect(wordOf(await client.lookup('8.8.8.2'))?.geofeed).toMatchObject({ country: 'DE' });
    expect([w.asked.length, fetched()]).toEqual([2, 1]);
    w.now += 2 * DAY_MS;
    await client.lookup('8.8.8.2');
    expect([w.asked.length, fetched()]).toEqual([3, 2]);
  });

  test('that could not be read is tried again after an hour, for one and for all, and the registry is not', async () => {
    let text: string | null = null;
    const { w, client, fetched } = await withFeed(memoryRegistryCache(Date.now), () => text);
    expect(wordOf(await client.lookup('8.8.8.1'))?.geofeed).toMatchObject({ country: null, note: 'http_status' });
    expect(wordOf(await client.lookup('8.8.8.1'))?.geofeed).toMatchObject({ note: 'http_status' });
    expect(wordOf(await client.lookup('8.8.8.2'))?.geofeed).toMatchObject({ note: 'http_status' });
    expect([w.asked.length, fetched()]).toEqual([2, 1]);
    text = '8.8.0.0/16,FR\n';
    w.now += HOUR_MS;
    expect(wordOf(await client.lookup('8.8.8.1'))?.geofeed).toMatchObject({ country: 'FR' });
    expect(wordOf(await client.lookup('8.8.8.2'))?.geofeed).toMatchObject({ country: 'FR' });
    expect([w.asked.length, fetched()]).toEqual([2, 2]);
  });
});

describe('a budget', () => {
  test('gives a burst, then one by one, and never more after a long time', () => {
    let now = 0;
    const budget = new Budget({ burst: 2, perMinute: 6 }, () => now);
    expect([budget.take(), budget.take(), budget.take()]).toEqual([0, 0, 10_000]);
    now += 10_000;
    expect([budget.take(), budget.take()]).toEqual([0, 10_000]);
    now += DAY_MS;
    expect([budget.take(), budget.take(), budget.take()]).toEqual([0, 0, 10_000]);
  });

  test('pauses longer each time, an hour at most, and starts again after a success', () => {
    let now = 0;
    const budget = new Budget(DEFAULT_RATES.ripe, () => now);
    const pauses = Array.from({ length: 4 }, () => budget.failed());
    expect(pauses).toEqual([0, 0, 0, 0]);
    expect([budget.failed(), budget.failed(), budget.failed()]).toEqual([30_000, 60_000, 120_000]);
    for (let i = 0; i < 20; i++) budget.failed();
    expect(budget.failed()).toBe(HOUR_MS);
    now += HOUR_MS;
    expect(budget.take()).toBe(0);
    expect(budget.take()).toBeGreaterThan(0); // one tries whether it is over, not all at once
    budget.succeeded();
    expect(budget.failed()).toBe(0);
    expect(budget.refused(7000, false)).toBe(7000);
    expect(budget.refused(null, true)).toBe(DAY_MS);
    expect(budget.take()).toBe(DAY_MS);
  });
});
