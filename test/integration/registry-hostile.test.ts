/** A registry, or a geofeed's host, that means harm: on loopback, through the real client. */
import type { RequestListener, ServerResponse } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { parseAddress, type ValidAddress } from '../../src/domain/address.ts';
import { fetchFeed } from '../../src/geo/registry/geofeed.ts';
import { RegistryClient } from '../../src/geo/registry/lookup.ts';
import { memoryRegistryCache } from '../../src/geo/registry/memory-cache.ts';
import { parseRange } from '../../src/geo/registry/range.ts';
import { askRdap } from '../../src/geo/registry/rdap.ts';
import type { Reply } from '../../src/geo/registry/reply.ts';
import { deadline, internet } from '../../src/geo/registry/transport.ts';
import { askWhois } from '../../src/geo/registry/whois.ts';
import { captureLog, stopwatch, until } from '../support/index.ts';
import { type Listening, LoopbackInternet, lineServer, webServer } from '../support/loopback-internet.ts';

const RDAP = 'rdap.arin.net:443';
const WHOIS = 'whois.arin.net:43';
const GOOD = { objectClassName: 'ip network', startAddress: '8.8.8.0', endAddress: '8.8.8.255', country: 'US' };
/** What the two processors of a busy machine may add to a deadline. */
const SLACK_MS = 1500;

function addressOf(text: string): ValidAddress {
  const address = parseAddress(text);
  if (!address.ok) throw new Error(text);
  return address;
}
const ADDRESS = addressOf('8.8.8.8');

function pump(response: ServerResponse, chunk: Buffer): void {
  const more = () => {
    while (!response.destroyed && response.write(chunk)) {}
  };
  response.on('drain', more);
  more();
}

function drip(response: {
  write(text: string): unknown;
  destroyed: boolean;
  on(event: 'close', f: () => void): unknown;
}) {
  const timer = setInterval(() => response.write('{'), 300);
  response.on('close', () => clearInterval(timer));
}

async function world(handle: RequestListener): Promise<{ net: LoopbackInternet; server: Listening }> {
  const net = new LoopbackInternet();
  const server = await webServer(handle);
  net.serve(RDAP, server.port);
  return { net, server };
}

async function rdap(net: LoopbackInternet, ms = 5000): Promise<Reply> {
  const { signal, done } = deadline(ms);
  const asking = { transport: net, signal, nowMs: Date.now(), admit: () => {} };
  return (await askRdap(ADDRESS, 'arin', asking).finally(done)).reply;
}

async function whois(net: LoopbackInternet, ms = 5000): Promise<Reply> {
  const { signal, done } = deadline(ms);
  const asking = { transport: net, signal, nowMs: Date.now(), admit: () => {} };
  return (await askWhois(ADDRESS, 'arin', asking).finally(done)).reply;
}

function clientOf(net: LoopbackInternet): RegistryClient {
  return new RegistryClient({
    cache: memoryRegistryCache(Date.now),
    log: captureLog(),
    clock: Date.now,
    transport: net,
    rates: Object.fromEntries(
      ['afrinic', 'apnic', 'arin', 'lacnic', 'ripe'].map((name) => [name, { burst: 1000, perMinute: 1000 }]),
    ) as never,
  });
}

/** How long it took, by the wall; and without the time in which this process was kept from running, which is no delay of ours. */
async function timed<T>(work: Promise<T>): Promise<{ result: T; wallMs: number; ms: number }> {
  const [start, watch] = [performance.now(), stopwatch()];
  const result = await work;
  return { result, wallMs: performance.now() - start, ms: watch() };
}

describe('time: 5 seconds over everything', () => {
  const slow: Record<string, () => Promise<LoopbackInternet>> = {
    'one byte of the body every 300 ms': async () => (await world((_, response) => drip(response))).net,
    'headers without end': async () => {
      const net = new LoopbackInternet();
      net.serve(
        RDAP,
        (
          await lineServer((_, socket) => {
            socket.write('HTTP/1.1 200 OK\r\n');
            const timer = setInterval(() => socket.write('x'), 300);
            socket.on('close', () => clearInterval(timer));
          })
        ).port,
      );
      return net;
    },
    'a slow redirect after a slow redirect': async () =>
      (await world((_, response) => setTimeout(() => response.writeHead(302, { location: '/a' }).end(), 1200))).net,
    'no answer at all': async () => (await world(() => {})).net,
    'a name that is never resolved': async () => {
      const net = (await world(() => {})).net;
      net.resolve = () => new Promise(() => {});
      return net;
    },
  };

  test('for each kind of slowness, and whois gets what is left', async () => {
    const results = await Promise.all(
      Object.entries(slow).map(async ([name, make]) => {
        const client = clientOf(await make());
        const { result, wallMs, ms } = await timed(client.lookup('8.8.8.8'));
        return { name, kind: result.kind, inTime: wallMs > 4000 && ms < 5000 + SLACK_MS };
      }),
    );
    expect(results).toEqual(Object.keys(slow).map((name) => ({ name, kind: 'later', inTime: true })));
  });

  test('whois that drips, over all its referrals', async () => {
    const net = new LoopbackInternet();
    net.serve(WHOIS, (await lineServer((_, socket) => drip(socket))).port);
    const { result, ms } = await timed(whois(net));
    expect(result).toEqual({ status: 'error', reason: 'deadline' });
    expect(ms).toBeLessThan(5000 + SLACK_MS);
  });

  test('64 connections at once end in time, and none is left open', async () => {
    const { net, server } = await world((_, response) => drip(response));
    const client = clientOf(net);
    const lookups = Array.from({ length: 64 }, (_, i) => client.lookup(`8.8.${i}.1`));
    const { result, ms } = await timed(Promise.all(lookups));
    expect(server.counts.made).toBe(64);
    expect(new Set(result.map(({ kind }) => kind))).toEqual(new Set(['later']));
    expect(ms).toBeLessThan(5000 + SLACK_MS);
    await until(() => server.counts.open === 0);
  });
});

describe('size: 256 KiB', () => {
  test('an endless body is left off', async () => {
    let sent = 0;
    const { net, server } = await world((_, response) => {
      response.on('pipe', () => {});
      const chunk = Buffer.alloc(65_536, 'x');
      const more = () => {
        do sent += chunk.length;
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
    });
    expect(await rdap(net)).toEqual({ status: 'error', reason: 'too_large' });
    await until(() => server.counts.open === 0);
    // What two kernels hold in between has been sent, too.
    expect(sent).toBeLessThan(16 * 1_048_576);
  });

  test('so is one that unpacks to more', async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
    expect(bomb.length).toBeLessThan(262_144);
    const { net } = await world((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));
    expect(await rdap(net)).toEqual({ status: 'error', reason: 'too_large' });
  });

  test('an answer that is packed, though nobody asked, is read; an unknown way of packing is not', async () => {
    const packed = gzipSync(JSON.stringify(GOOD));
    const { net } = await world((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed));
    expect(await rdap(net)).toMatchObject({ status: 'ok', country: 'US' });
    const odd = await world((_, response) => response.writeHead(200, { 'content-encoding': 'zstd' }).end(packed));
    expect(await rdap(odd.net)).toEqual({ status: 'error', reason: 'encoding' });
  });

  test('endless whois, endless headers', async () => {
    const net = new LoopbackInternet();
    net.serve(
      WHOIS,
      (
        await lineServer((_, socket) => {
          const more = () => {
            while (!socket.destroyed && socket.write('remarks: x\n'.repeat(1000))) {}
          };
          socket.on('drain', more);
          more();
        })
      ).port,
    );
    net.serve(
      RDAP,
      (await lineServer((_, socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`))).port,
    );
    expect(await whois(net)).toEqual({ status: 'error', reason: 'too_large' });
    expect(await rdap(net)).toEqual({ status: 'error', reason: 'not_http' });
  });
});

describe('where it may connect', () => {
  test.each([
    'http://127.0.0.1:6379/',
    'https://127.0.0.1/',
    'https://[::1]/',
    'https://169.254.169.254/latest/',
    'https://localhost/',
    'https://internal.example/',
    'https://rdap.arin.net.evil.example/',
    'https://rdap.arin.net:8443/',
    'http://rdap.arin.net/registry/ip/8.8.8.8',
    'https://user:pass@rdap.arin.net/',
    '//10.0.0.1/',
    'ftp://rdap.arin.net/',
  ])('a redirect to %s is not followed', async (location) => {
    const victim = await webServer((_, response) => response.end('secret'));
    const { net } = await world((_, response) => response.writeHead(302, { location }).end());
    for (const host of [
      '127.0.0.1:6379',
      'localhost:443',
      'internal.example:443',
      'rdap.arin.net:8443',
      '10.0.0.1:443',
    ])
      net.serve(host, victim.port);
    expect((await rdap(net)).status).toBe('blocked-referral');
    expect(net.dialled).toEqual([RDAP]);
    expect(victim.counts.made).toBe(0);
  });

  test.each([
    [['10.0.0.5']],
    [['127.0.0.1']],
    [['::1']],
    [['::ffff:10.0.0.5']],
    [['fd00::1']],
    [['169.254.169.254']],
    [['64:ff9b::a00:5']],
    [['9.9.9.9', '10.0.0.5']],
    [['not an address']],
  ])('a listed host that resolves to %j is not connected to', async (addresses) => {
    const { net, server } = await world((_, response) => response.end(JSON.stringify(GOOD)));
    net.pointTo('rdap.arin.net', ...addresses);
    expect(await rdap(net)).toEqual({ status: 'blocked-referral', reason: 'not_public' });
    expect(server.counts.made).toBe(0);
  });

  test('another registry is', async () => {
    const { net } = await world((_, response) =>
      response.writeHead(301, { location: 'https://rdap.db.ripe.net/ip/8.8.8.8' }).end(),
    );
    const ripe = await webServer((_, response) => response.end(JSON.stringify({ ...GOOD, country: 'NL' })));
    net.serve('rdap.db.ripe.net:443', ripe.port);
    expect(await rdap(net)).toMatchObject({ status: 'ok', country: 'NL' });
    expect(net.dialled).toEqual([RDAP, 'rdap.db.ripe.net:443']);
  });

  test('a redirect loop ends after five', async () => {
    const { net, server } = await world((request, response) =>
      response.writeHead(302, { location: `${request.url}x` }).end(),
    );
    expect(await rdap(net)).toEqual({ status: 'error', reason: 'too_many_redirects' });
    expect(server.counts.made).toBe(6);
  });

  test.each(['whois://127.0.0.1:6379', 'whois://10.0.0.1', 'whois://whois.ripe.net:6379', 'whois://evil.example'])(
    'a referral to %s is not followed',
    async (link) => {
      const net = new LoopbackInternet();
      const text = `NetRange: 8.0.0.0 - 8.255.255.255\nReferralServer: ${link}\nCountry: US\n`;
      net.serve(WHOIS, (await lineServer((_, socket) => socket.end(text))).port);
      expect(await whois(net)).toEqual({ status: 'blocked-referral' });
      expect(net.dialled).toEqual([WHOIS]);
    },
  );

  test('a referral to another registry is; one that goes in circles ends', async () => {
    const net = new LoopbackInternet();
    const to = (host: string) => `NetRange: 8.0.0.0 - 8.255.255.255\nReferralServer: whois://${host}\n`;
    net.serve(WHOIS, (await lineServer((_, socket) => socket.end(to('whois.ripe.net')))).port);
    let back = 'inetnum: 8.8.8.0 - 8.8.8.255\ncountry: NL\n';
    net.serve('whois.ripe.net:43', (await lineServer((_, socket) => socket.end(back))).port);
    expect(await whois(net)).toMatchObject({ status: 'ok', country: 'NL' });
    back = to('whois.arin.net');
    expect(await whois(net)).toEqual({ status: 'error', reason: 'too_many_referrals' });
  });

  test('the real transport refuses an address that is not public, whatever was looked up', async () => {
    const { port, counts } = await webServer((_, response) => response.end());
    const target = { host: 'rdap.arin.net', address: '127.0.0.1', port, secure: false };
    await expect(internet.dial(target, new AbortController().signal)).rejects.toMatchObject({ reason: 'not_public' });
    expect(counts.made).toBe(0);
  });
});

const HOSTILE: readonly (readonly [string, Reply['status'], RequestListener])[] = [
  ['another range', 'bad-answer', (_, r) => r.end(JSON.stringify({ ...GOOD, startAddress: '8.8.8.100' }))],
  ['HTML', 'bad-answer', (_, r) => r.writeHead(200, { 'content-type': 'text/html' }).end('<html>')],
  ['invalid UTF-8', 'bad-answer', (_, r) => r.end(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]))],
  ['429, seconds', 'rate-limited', (_, r) => r.writeHead(429, { 'retry-after': '7' }).end('<html>no')],
  ['429, a date', 'rate-limited', (_, r) => r.writeHead(429, { 'retry-after': new Date().toUTCString() }).end()],
  [
    'a body that breaks off',
    'error',
    (_, r) => r.writeHead(200, { 'content-length': '99' }).write('{', () => r.destroy()),
  ],
  ['no HTTP', 'error', (_, r) => r.socket?.end('hello\r\n\r\n')],
  ['a reset', 'error', (_, r) => r.socket?.resetAndDestroy()],
  ['broken gzip', 'error', (_, r) => r.writeHead(200, { 'content-encoding': 'gzip' }).end('not gzip')],
  ['a redirect to nowhere', 'error', (_, r) => r.writeHead(302).end()],
  ['an endless body', 'error', (_, r) => pump(r, Buffer.alloc(65_536, 'x'))],
];

describe('other answers', () => {
  test.each(HOSTILE)('%s: %s', async (_, status, handle) => {
    const { net, server } = await world(handle);
    expect((await rdap(net)).status).toBe(status);
    await until(() => server.counts.open === 0);
  });

  test('over 1,000 of them the heap stays flat', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    let turn = 0;
    const { net, server } = await world((request, response) =>
      HOSTILE[turn++ % HOSTILE.length]?.[2](request, response),
    );
    const round = async (count: number) => {
      for (let i = 0; i < count; i += 10) await Promise.all(Array.from({ length: 10 }, () => rdap(net)));
      await until(() => server.counts.open === 0);
      gc();
      return process.memoryUsage().heapUsed / 1e6;
    };
    const warm = await round(200);
    const after = await round(1000);
    expect(after - warm).toBeLessThan(4);
    expect(turn).toBeGreaterThanOrEqual(1200);
  }, 60_000);
});

describe('a geofeed’s host', () => {
  const range = parseRange('8.8.8.0 - 8.8.8.255');
  const feed = async (net: LoopbackInternet, url = 'https://geo.example.net/feed.csv', ms = 4000) => {
    const { signal, done } = deadline(ms);
    if (range === null) throw new Error('range');
    return fetchFeed(url, ADDRESS, range, { transport: net, signal }).finally(done);
  };
  const serving = async (handle: RequestListener) => {
    const net = new LoopbackInternet();
    net.serve('geo.example.net:443', (await webServer(handle)).port);
    return net;
  };

  test('only rows inside the range of the entry that links it count', async () => {
    const text = [
      '\ufeff8.8.8.0/25,US,US-CA,"x",',
      '# 8.8.8.0/24,RU',
      '8.8.0.0/16,RU,,,',
      '0.0.0.0/0,RU,,,',
      '9.9.9.0/24,RU,,,',
      '8.8.8.8/32,ca,,,',
      '8.8.8.9,,,,',
      'nonsense',
      '08.8.8.8/32,RU',
      'x'.repeat(5000),
    ].join('\r\n');
    const net = await serving((_, response) => response.end(text));
    expect(await feed(net)).toEqual({
      rows: [
        { prefix: '8.8.8.0/25', country: 'US' },
        { prefix: '8.8.8.8/32', country: 'CA' },
        { prefix: '8.8.8.9', country: null, note: 'withheld' },
      ],
    });
  });

  test('100,000 rows stream by; one line without an end is never held', async () => {
    const rows = Array.from({ length: 100_000 }, (_, i) => `9.${(i >> 8) & 255}.${i & 255}.0/24,DE,,,`).join('\n');
    const net = await serving((_, response) => response.end(`${rows}\n8.8.8.0/24,US,,,`));
    // How fast is for the benches.
    expect((await feed(net, undefined, 25_000)).rows).toEqual([{ prefix: '8.8.8.0/24', country: 'US' }]);
    const long = await serving((_, response) => response.end(`${'x'.repeat(2_000_000)}\n8.8.8.0/24,US,,,\n`));
    expect((await feed(long)).rows).toEqual([{ prefix: '8.8.8.0/24', country: 'US' }]);
  });

  test.each([
    [
      'endless',
      'too_large',
      (_: unknown, r: ServerResponse) => pump(r, Buffer.from('9.9.9.0/24,DE,,,\n'.repeat(4000))),
    ],
    ['drips', 'deadline', (_: unknown, r: ServerResponse) => drip(r)],
    ['refuses', 'http_status', (_: unknown, r: ServerResponse) => r.writeHead(500).end()],
    [
      'leads inside',
      'not_public',
      (_: unknown, r: ServerResponse) => r.writeHead(302, { location: 'https://10.0.0.1/' }).end(),
    ],
    [
      'leads to http',
      'not_plain_https',
      (_: unknown, r: ServerResponse) => r.writeHead(302, { location: 'http://a.example/' }).end(),
    ],
    ['repeats itself', 'too_many_rows', (_: unknown, r: ServerResponse) => r.end('8.8.8.8/32,US\n'.repeat(1000))],
  ])('one that %s is given up: %s', async (_, problem, handle) => {
    expect(await feed(await serving(handle))).toEqual({ rows: [], problem });
  });

  test('one on a registry`s own host, or that leads to one, is not asked there', async () => {
    const registry = 'https://rdap.db.ripe.net/ip/193.0.0.1';
    const net = await serving((_, response) => response.writeHead(302, { location: registry }).end());
    net.serve('rdap.db.ripe.net:443', (await webServer((_, response) => response.end('8.8.8.0/24,US'))).port);
    expect(await feed(net)).toEqual({ rows: [], problem: 'host_of_a_registry' });
    expect(await feed(net, registry)).toEqual({ rows: [], problem: 'host_of_a_registry' });
    expect(net.dialled).toEqual(['geo.example.net:443']);
  });

  test('one that resolves to a private address is not connected to', async () => {
    const net = await serving((_, response) => response.end('8.8.8.0/24,US'));
    net.pointTo('geo.example.net', '10.0.0.5');
    expect(await feed(net)).toEqual({ rows: [], problem: 'not_public' });
    expect(await feed(net, 'https://127.0.0.1/feed.csv')).toEqual({ rows: [], problem: 'not_public' });
    expect(net.dialled).toEqual([]);
  });
});
