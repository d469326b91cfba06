/** Sockets beside ws and socket.io over our store (sockets.test.ts): of other frameworks, and of bouncer.express itself. */
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import express from 'express';
import session from 'express-session';
import type { FastifyInstance } from 'fastify';
import Koa from 'koa';
import koaSession from 'koa-session';
import { Server as SocketIo } from 'socket.io';
import { io as ioClient } from 'socket.io-client';
import { WebSocket, WebSocketServer } from 'ws';
import { type Bouncer, type BouncerOptions, createBouncer } from '../../src/index.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { listening } from '../contract/frameworks/express.ts';
import { openFastifyShop } from '../support/fastify-shop.ts';
import {
  captureLog,
  connect,
  errorsIn,
  privateRedis,
  release,
  testPrefix,
  testRedisUrl,
  until,
} from '../support/index.ts';
import { ADDRESS, Browser, PATIENCE } from '../support/shop.ts';

const SECRET = 'a secret of the tests, forty letters long';
const BY = { by: 'ann', why: 'lost telephone' };

type Owner = (req: IncomingMessage) => object | Promise<object>;
interface Chat {
  readonly server: Server;
  readonly bouncer: Bouncer;
  readonly url: string;
  readonly ownerOf: Owner;
}

/** What `guardSocket` has said of each socket, as it came. */
function serveSockets({ server, bouncer, ownerOf }: Omit<Chat, 'url'>): boolean[] {
  const wss = new WebSocketServer({ noServer: true });
  release(() => wss.close());
  const said: boolean[] = [];
  server.on('upgrade', (req, tcp, head) => {
    wss.handleUpgrade(req, tcp, head, async (socket) => {
      said.push(await bouncer.guardSocket(socket, await ownerOf(req)));
    });
  });
  return said;
}

function visit(url: string, cookie: string): { readonly closed: Promise<number> } {
  const socket = new WebSocket(url.replace('http', 'ws'), { headers: { cookie } });
  release(() => socket.terminate());
  return { closed: new Promise((resolve) => socket.once('close', resolve)) };
}

/** As in ws's own example: the upgrade goes through the app's session middleware, with nothing to answer with. */
async function openExpress() {
  const log = captureLog();
  const prefix = testPrefix();
  const bouncer = createBouncer({ redis: testRedisUrl(), prefix, log, ...PATIENCE });
  // Without a cast, here and below: as a user of TypeScript would write it.
  const withSession = bouncer.express(session, {
    secret: SECRET,
    resave: false,
    saveUninitialized: false,
    unset: 'keep',
    cookie: { sameSite: 'lax', secure: 'auto' },
  });
  const app = express();
  app.use(withSession);
  app.post('/login', async (req, res) => {
    res.json(await bouncer.login(req, { userId: 'alice', data: { userId: 'alice' } }));
  });
  const server = createServer(app);
  const running = await listening(server);
  release(async () => {
    await running.close();
    await bouncer.close();
  });
  const ownerOf: Owner = (req) => new Promise((resolve) => withSession(req, {}, () => resolve(req)));
  const revoke = async (lid: unknown, browser: Browser) => {
    const end = {
      lid: String(lid),
      handle: sessionHandle(await browser.sessionId()),
      reason: 'country_changed',
    } as const;
    const sessions = redisSessions(connect(), keysFor(prefix), 1_000_000);
    await sessions.revoke([{ ...end, caseId: 'AAAA-BBBB-CCCC', atMs: Date.now() }]);
  };
  return { bouncer, server, url: running.url, ownerOf, log, withSession, revoke };
}

async function closesWithItsLogin(chat: Chat): Promise<void> {
  const said = serveSockets(chat);
  const browser = new Browser(chat.url, ADDRESS.london);
  const { lid } = (await browser.login('alice')).json();
  const cookie = await browser.jar.getCookieString(chat.url);
  const open = visit(chat.url, cookie);
  await until(() => said.length === 1);
  expect(said).toEqual([true]);
  expect(await chat.bouncer.sessions.end(String(lid), BY)).toBe('ended');
  expect(await open.closed).toBe(4401);
  expect(await visit(chat.url, cookie).closed).toBe(4401); // it has ended before
  expect(said).toEqual([true, false]);
}

async function openKoa(how: Partial<BouncerOptions> = {}) {
  const where = { redis: testRedisUrl(), prefix: testPrefix(), log: captureLog() };
  const bouncer = createBouncer({ ...where, ...PATIENCE, ...how });
  const app = new Koa();
  app.keys = [SECRET];
  app.use(bouncer.koa(koaSession, { key: 'sid' }, app) as never);
  app.use(async (ctx) => {
    if (ctx.path === '/login') ctx.body = await bouncer.login(ctx, { userId: 'alice', data: { userId: 'alice' } });
  });
  const server = createServer(app.callback());
  const running = await listening(server);
  release(async () => {
    await running.close();
    await bouncer.close();
  });
  const idIn = (req: IncomingMessage) => app.createContext(req, new ServerResponse(req)).cookies.get('sid');
  return { app, bouncer, server, url: running.url, idIn };
}

/** @fastify/session's own way for requests that Fastify does not serve. */
function fastifyIdIn(app: FastifyInstance, { headers }: IncomingMessage): Promise<string> {
  const { sessionId = '' } = app.parseCookie(headers.cookie ?? '');
  const request = {} as { session: { sessionId: string } };
  return new Promise((resolve) => app.decryptSession(sessionId, request, () => resolve(request.session.sessionId)));
}

describe('a socket', () => {
  test('through bouncer.express itself: the gate lets it be, guardSocket closes it, its cookies are screened', async () => {
    const chat = await openExpress();
    const said = serveSockets(chat);
    const browser = new Browser(chat.url, ADDRESS.london);
    const { lid } = (await browser.login('alice')).json();
    const cookie = await browser.jar.getCookieString(chat.url);
    visit(chat.url, `${cookie}; connect.sid=s%3Aplanted.x`);
    await until(() => said.length === 1);
    expect(chat.bouncer.stats().refused).toEqual({ 'id:duplicate': 1 });
    const open = visit(chat.url, `${cookie}; connect.sid.bouncer-held=s%3Ax.x`);
    await until(() => said.length === 2);
    await chat.revoke(lid, browser);
    expect(await open.closed).toBe(4401);
    expect(await visit(chat.url, cookie).closed).toBe(4401);
    expect(said).toEqual([true, true, false]);
    expect(errorsIn(chat.log)).toEqual([]);
  });

  test.each(['websocket', 'polling'])('of socket.io through bouncer.express itself, by %s', async (transport) => {
    const chat = await openExpress();
    const io = new SocketIo(chat.server);
    release(() => io.close());
    io.engine.use(chat.withSession);
    io.use(async (socket, next) => next((await chat.bouncer.guardSocket(socket)) ? undefined : new Error('ended')));
    const browser = new Browser(chat.url, ADDRESS.london);
    const { lid } = (await browser.login('alice')).json();
    const extraHeaders = { cookie: await browser.jar.getCookieString(chat.url) };
    const open = () => {
      const socket = ioClient(chat.url, { extraHeaders, transports: [transport], reconnection: false, forceNew: true });
      release(() => void socket.close());
      return new Promise<string>((resolve) => {
        socket.once('connect', () => socket.once('disconnect', resolve));
        socket.once('connect_error', () => resolve('refused'));
      });
    };
    const first = open();
    await until(() => io.sockets.sockets.size === 1);
    await chat.revoke(lid, browser);
    // Who polls, and has no poll under way when the news comes, is refused the next one by the gate.
    const ends = transport === 'polling' ? ['io server disconnect', 'transport error'] : ['io server disconnect'];
    expect(ends).toContain(await first);
    expect(await open()).toBe('refused');
    await until(() => io.sockets.sockets.size === 0);
  });

  test('in Koa, by the id in its cookie', async () => {
    const { bouncer, server, url, idIn } = await openKoa();
    await closesWithItsLogin({ bouncer, server, url, ownerOf: (req) => ({ sessionId: idIn(req) }) });
    expect(await visit(url, 'sid=XXXXXXXXXXXXXXXXXXXXXXXX; sid.sig=XXXX').closed).toBe(4401); // badly signed
  });

  test('in Koa, by the login that judge tells', async () => {
    const { bouncer, server, url, idIn } = await openKoa();
    const ownerOf: Owner = async (req) => {
      const { method = '', url: target = '', headers } = req;
      const verdict = await bouncer.judge({ sessionId: idIn(req) ?? '', method, target, headers });
      return verdict.action === 'pass' && verdict.lid !== '' ? { lid: verdict.lid } : { sessionId: undefined };
    };
    await closesWithItsLogin({ bouncer, server, url, ownerOf });
  });

  test('in Fastify, by the id that decryptSession finds', async () => {
    const apps: FastifyInstance[] = [];
    const { bouncer, url } = await openFastifyShop({ routes: (app) => void apps.push(app) });
    const [app] = apps as [FastifyInstance];
    const ownerOf: Owner = async (req) => ({ sessionId: await fastifyIdIn(app, req) });
    await closesWithItsLogin({ bouncer, server: app.server, url, ownerOf });
  });

  test('whose request says nothing to us is closed, and so is one while Redis is away', async () => {
    const redis = await privateRedis();
    const { bouncer, server, url, idIn } = await openKoa({ redis: redis.url, redisTimeoutMs: 500 });
    let ownerOf: Owner = (req) => req;
    const said = serveSockets({ bouncer, server, ownerOf: (req) => ownerOf(req) });
    const browser = new Browser(url, ADDRESS.london);
    await until(async () => (await browser.login('alice')).json().saved === true);
    const cookie = await browser.jar.getCookieString(url);
    expect(await visit(url, cookie).closed).toBe(1011);
    ownerOf = (req) => ({ sessionId: idIn(req) });
    redis.pause();
    expect(await visit(url, cookie).closed).toBe(1013);
    redis.resume();
    expect(said).toEqual([false, false]);
  });
});
