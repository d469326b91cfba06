import { EventEmitter } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import type express from 'express';
import session from 'express-session';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { connect, release, testPrefix, until } from '../support/index.ts';
import { ADDRESS, type Browser, openShop, type Shop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const MINUTE_MS = 60_000;

interface Old {
  readonly shop: Shop;
  readonly thief: Browser;
  readonly oldId: string;
}

async function reused<T>(address: string, bring: (old: Old) => Promise<T>) {
  const prefix = testPrefix();
  const time = { now: Date.now() };
  const clock = () => time.now;
  const shop = await openShop(prefix, { bouncer: { clock, rotate: { everyRequests: 1 } } });
  await openWorker(prefix);
  const owner = shop.browser(ADDRESS.london);
  // The connection may only just be opening.
  await until(async () => (await owner.login('alice')).json().saved);
  const oldId = await owner.sessionId();
  const thief = shop.browser(address);
  for (const cookie of await owner.jar.getCookies(shop.url)) await thief.jar.setCookie(cookie, shop.url);
  await owner.user(); // a new id
  await owner.user(); // its first use: the old one's tail begins
  const incidents = redisIncidents(connect(), keysFor(prefix), 1e9);
  // The worker has decided the login, and learned from it.
  await until(async () => (await shop.bouncer.sessions.list('alice')).some(({ countries }) => countries.length === 1));
  time.now += MINUTE_MS;
  const brought = await bring({ shop, thief, oldId });
  const found = await until(async () => (await incidents.list({ userId: 'alice' }, 10)).incidents[0]);
  return { shop, owner, thief, brought, found, incidents, prefix };
}

const byPage = ({ thief }: Old) => thief.get('/me');

/** Is a socket let in? By its id alone, as outside of Express. */
function byId({ shop, oldId }: Old): Promise<boolean> {
  return shop.bouncer.guardSocket(new Plain(), { sessionId: oldId });
}

/** By a bare upgrade request, as with ws in Express: there is nothing to answer with. */
async function byUpgrade({ shop, thief }: Old): Promise<boolean> {
  const options = { secret: 'not a secret in a test', resave: false, saveUninitialized: false };
  const withSession = shop.bouncer.express(session, options);
  const server = createServer();
  const guarded = new Promise<boolean>((resolve) => {
    server.on('upgrade', (req, tcp) => {
      withSession(req as express.Request, {} as express.Response, () => {
        void shop.bouncer.guardSocket(new Plain(), req).then(resolve);
        tcp.destroy();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  release(async () => void server.close());
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    cookie: await thief.jar.getCookieString(shop.url),
    'x-forwarded-for': ADDRESS.lagos,
  };
  request({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', headers })
    .on('error', () => {})
    .end();
  return guarded;
}

class Plain extends EventEmitter {
  destroy(): void {
    this.emit('close');
  }
}

describe('an old id that comes back after its tail', () => {
  test('ends the whole login and makes one incident, with the address that brought it', async () => {
    const { shop, owner, thief, brought: page, found, incidents } = await reused(ADDRESS.lagos, byPage);
    expect([page.status, page.location]).toEqual([303, `/gotcha?case=${found.id}`]);
    expect((await owner.get('/me')).status).toBe(303);
    expect(found).toMatchObject({
      reason: 'session_reused',
      action: 'revoke',
      outcome: 'revoked',
      userId: 'alice',
      sighting: { kind: 'located', address: ADDRESS.lagos, candidates: ['NG'] },
      baseline: { v4: { places: [{ countries: ['GB'] }] } },
    });
    await thief.get('/me');
    await until(async () => ((await incidents.get(found.id))?.visitCount ?? 0) >= 2);
    expect((await incidents.list({ userId: 'alice' }, 10)).incidents).toHaveLength(1);
    expect(await shop.bouncer.sessions.list('alice')).toEqual([]);
  });

  test('from the same country too, and from an address that nobody can locate', async () => {
    expect((await reused(ADDRESS.londonElsewhere, byPage)).found).toMatchObject({ reason: 'session_reused' });
    const { found, incidents } = await reused('10.1.2.3', byPage);
    expect(found).toMatchObject({
      reason: 'session_reused',
      sighting: { kind: 'unlocatable', why: 'special_address' },
    });
    expect((await incidents.list({ address: '10.1.2.3' }, 10)).incidents).toHaveLength(1);
  });

  test.each([
    ['its id', byId, { kind: 'unlocatable' }],
    ['an upgrade request', byUpgrade, { kind: 'located', address: ADDRESS.lagos }],
  ] as const)('by a socket, guarded by %s: refused, ended and told as well', async (_name, bring, sighting) => {
    const { owner, brought, found } = await reused(ADDRESS.lagos, bring);
    expect(brought).toBe(false);
    expect(found).toMatchObject({ reason: 'session_reused', outcome: 'revoked', userId: 'alice', sighting });
    expect((await owner.get('/me')).status).toBe(303);
  });
});
