import { EventEmitter } from 'node:events';
import { createServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect as connectTcp, type Socket as TcpSocket } from 'node:net';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { RedisStore } from 'connect-redis8';
import express from 'express';
import session from 'express-session';
import { type Socket, Server as SocketIo } from 'socket.io';
import { type Socket as ClientSocket, io as ioClient } from 'socket.io-client';
import { WebSocket, WebSocketServer } from 'ws';
import { type Bouncer, createBouncer } from '../../src/index.ts';
import type { EndMark, RevocationNotice, Sessions } from '../../src/ports.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { type GuardableSocket, Sockets } from '../../src/web/sockets.ts';
import type { RequestLogin } from '../../src/web/whose.ts';
import { captureLog, connect, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { startProxy } from '../support/proxy.ts';
import { Browser } from '../support/shop.ts';
import { beatsOf } from '../support/stopwatch.ts';

/** "Within a second" goes by Redis, which has to wait for the processor like everybody. */
let stopwatch: () => () => number;
beforeAll(() => {
  const redis = connect();
  const beats = beatsOf(() => redis.ping());
  release(() => beats.stop());
  stopwatch = beats.stopwatch;
});

type WithSession = IncomingMessage & { session: session.Session & { typed?: number; userId?: string } };

/** Where a test stands in the way of a connecting socket. */
interface Hooks {
  /** The session is loaded, the socket not guarded yet. */
  beforeGuard?: (() => Promise<void>) | undefined;
  /** Socket.io: guarded in its middleware, not connected yet. */
  afterMiddleware?: (() => Promise<void>) | undefined;
}

interface Chat {
  readonly bouncer: Bouncer;
  readonly url: string;
  readonly hooks: Hooks;
  /** Server-side sockets with their upgrade requests, in the order in which they came. */
  readonly opened: { socket: WebSocket | Socket; request: WithSession }[];
  /** What the app was sent over sockets. */
  readonly messages: string[];
  /** A browser that is logged in; `end` revokes its login. */
  login(user: string): Promise<Visitor>;
}

interface Visitor {
  readonly cookie: string;
  readonly handle: string;
  readonly lid: string;
  end(): Promise<void>;
  state(): Promise<string>;
  ws(): Promise<WebSocket>;
  io(options?: { transports?: string[]; namespace?: string }): ClientSocket;
}

/** An app with a `ws` server on /ws and a socket.io server, as their manuals show them, over our store. */
async function openChat(redisUrl = testRedisUrl(), kind: 'ours' | 'stock' = 'ours'): Promise<Chat> {
  const prefix = testPrefix();
  const log = captureLog();
  const bouncer = createBouncer({ redis: redisUrl, prefix, log });
  const stock = () => new RedisStore({ client: bouncer.guardClient(connect(redisUrl)) });
  const store = kind === 'ours' ? bouncer.store(session) : stock();
  const sessions = session({ store, secret: 'not a secret in a test', resave: false, saveUninitialized: false });
  const context = kind === 'ours' ? null : bouncer.context();
  const withSession: express.RequestHandler = (req, res, next) =>
    context ? context(req, res, () => sessions(req, res, next)) : sessions(req, res, next);
  const app = express();
  app.use(withSession, bouncer.gate());
  app.post('/login', async (req, res) => {
    const userId = String(req.query.user);
    res.json(await bouncer.login(req, { userId, data: { userId } }));
  });
  const server = createServer(app);
  const chat: Chat = { bouncer, url: '', hooks: {}, opened: [], messages: [], login: undefined as never };
  openWs(server, withSession, chat);
  openIo(server, withSession, chat);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  release(async () => {
    server.closeAllConnections();
    server.close();
    await bouncer.close();
  });
  return Object.assign(chat, { url, login: (user: string) => logIn(url, prefix, user) });
}

function openWs(server: HttpServer, withSession: express.RequestHandler, chat: Chat): void {
  const wss = new WebSocketServer({ noServer: true });
  server.on('upgrade', (req, tcp, head) => {
    if (req.url !== '/ws') return;
    withSession(req as express.Request, {} as express.Response, async () => {
      await chat.hooks.beforeGuard?.();
      wss.handleUpgrade(req, tcp, head, (socket) => void greet(socket, req as WithSession));
    });
  });
  const greet = async (socket: WebSocket, request: WithSession) => {
    chat.opened.push({ socket, request });
    socket.on('message', (data) => chat.messages.push(String(data)));
    if (await chat.bouncer.guardSocket(socket, request)) socket.send('welcome');
  };
  release(() => wss.close());
}

function openIo(server: HttpServer, withSession: express.RequestHandler, chat: Chat): void {
  const io = new SocketIo(server);
  io.engine.use(withSession);
  const greet = (socket: Socket) => {
    chat.opened.push({ socket, request: socket.request as WithSession });
    socket.on('say', (text: string) => chat.messages.push(text));
  };
  io.on('connection', async (socket) => {
    greet(socket);
    await chat.hooks.beforeGuard?.();
    if (await chat.bouncer.guardSocket(socket)) socket.emit('welcome');
  });
  const strict = io.of('/strict');
  strict.use(async (socket, next) => {
    await chat.hooks.beforeGuard?.();
    if (!(await chat.bouncer.guardSocket(socket))) return next(new Error('session_ended'));
    await chat.hooks.afterMiddleware?.();
    next();
  });
  strict.on('connection', (socket) => {
    greet(socket);
    socket.emit('welcome');
  });
  release(() => io.close());
}

async function logIn(url: string, prefix: string, user: string): Promise<Visitor> {
  const browser = new Browser(url, '127.0.0.1');
  const { lid } = (await browser.login(user)).json() as { lid: string };
  const cookie = await browser.jar.getCookieString(url);
  const handle = sessionHandle(await browser.sessionId());
  const redis = connect();
  const keys = keysFor(prefix);
  const ender: Sessions = redisSessions(redis, keys, 1e7);
  const ended = { lid, handle, reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC' } as const;
  return {
    cookie,
    handle,
    lid,
    async end() {
      const [result] = await ender.revoke([{ ...ended, atMs: Date.now() }]);
      expect(result).toMatchObject({ outcome: 'revoked' });
    },
    async state() {
      const found = await guardedSessions(redis, keys).load(handle);
      return found.kind === 'tombstone' ? found.tombstone.kind : found.kind;
    },
    ws: () => openSocket(url, cookie),
    io({ transports = ['websocket'], namespace = '' } = {}) {
      const options = { extraHeaders: { cookie }, transports, reconnection: false, forceNew: true };
      const socket = ioClient(`${url}${namespace}`, options);
      release(() => socket.disconnect());
      return socket;
    },
  };
}

/** Resolves with the first message, or when it is closed. */
async function openSocket(url: string, cookie: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { headers: { cookie } });
  release(() => socket.terminate());
  await new Promise<void>((resolve, reject) => {
    socket.once('message', () => resolve());
    socket.once('close', () => resolve());
    socket.once('error', reject);
  });
  return socket;
}

/** The close code, and how long it took. */
function closed(socket: WebSocket): Promise<{ code: number; ms: number }> {
  const ms = stopwatch();
  return new Promise((resolve) => {
    const done = (code: number) => resolve({ code, ms: ms() });
    if (socket.readyState === WebSocket.CLOSED) done(0);
    else socket.once('close', done);
  });
}

/** One of socket.io's own events; its time. */
function happens(socket: ClientSocket, event: 'welcome' | 'disconnect' | 'connect_error'): Promise<number> {
  const ms = stopwatch();
  return new Promise((resolve) => {
    socket.once(event as 'disconnect', () => resolve(ms()));
  });
}

/** Interleaving 24: the socket still holds the session object, and saves it. */
async function saveHeld({ request }: { request: WithSession }): Promise<unknown> {
  request.session.typed = 1;
  return new Promise((resolve) => {
    request.session.save((error: unknown) => resolve(error ?? null));
  });
}

describe('a ws socket', () => {
  test('of a revoked login is closed within a second with 4401; its later save changes nothing; others stay', async () => {
    const chat = await openChat();
    const [thief, owner] = [await chat.login('alice'), await chat.login('alice')];
    const [theirs, own] = [await thief.ws(), await owner.ws()];
    const gone = closed(theirs);
    await thief.end();
    const { code, ms } = await gone;
    expect(code).toBe(4401);
    expect(ms).toBeLessThan(1000);
    const [held] = chat.opened;
    if (held === undefined) throw new Error('no socket');
    expect(held.request.session.userId).toBe('alice'); // what it holds in memory looks alive
    expect(await saveHeld(held)).toBeNull();
    expect(await thief.state()).toBe('revoked');
    expect(chat.bouncer.stats().refused).toMatchObject({ 'save:revoked': 1 });
    expect(own.readyState).toBe(WebSocket.OPEN);
    own.send('still here');
    await until(() => chat.messages.includes('still here'));
  });

  test('whose login is revoked while it connects is closed: before it is guarded', async () => {
    const chat = await openChat();
    const thief = await chat.login('alice');
    chat.hooks.beforeGuard = () => thief.end();
    const socket = await thief.ws();
    expect((await closed(socket)).ms).toBeLessThan(1000);
    expect(chat.messages).toEqual([]);
  });

  test('of a login that was revoked before it connects is closed at once', async () => {
    const chat = await openChat();
    const thief = await chat.login('alice');
    await thief.end();
    const socket = await thief.ws();
    expect((await closed(socket)).ms).toBeLessThan(1000);
  });

  test('whose peer ignores the closing is cut off, and what it still sends reaches nobody', async () => {
    const chat = await openChat();
    const thief = await chat.login('alice');
    const raw = await rawSocket(chat, thief);
    await until(() => chat.opened.length === 1);
    raw.write(frame('before'));
    await until(() => chat.messages.includes('before'));
    const ms = stopwatch();
    const gone = new Promise<number>((resolve) => raw.once('close', () => resolve(ms())));
    raw.once('data', () => raw.write(frame('after'))); // its answer to our close frame
    await thief.end();
    expect(await gone).toBeLessThan(1000);
    expect(chat.messages).toEqual(['before']);
  });

  test('without a login is left alone', async () => {
    const chat = await openChat();
    const socket = await openSocket(chat.url, '');
    await (await chat.login('alice')).end();
    socket.send('anonymous');
    await until(() => chat.messages.includes('anonymous'));
  });

  test('whose login was revoked while the news could not be heard is closed when they can', async () => {
    const proxy = await startProxy(Number(new URL(testRedisUrl()).port));
    const chat = await openChat(proxy.url);
    const thief = await chat.login('alice');
    const socket = await thief.ws();
    const gone = closed(socket);
    proxy.cut();
    await thief.end();
    proxy.open();
    expect((await gone).code).toBe(4401);
  });
});

test('a ws and a socket.io socket under a guarded stock store are closed too', async () => {
  const chat = await openChat(testRedisUrl(), 'stock');
  const thief = await chat.login('alice');
  const [socket, client] = [await thief.ws(), thief.io()];
  await happens(client, 'welcome');
  const gone = [closed(socket), happens(client, 'disconnect')] as const;
  await thief.end();
  expect(await gone[0]).toMatchObject({ code: 4401 });
  expect(await gone[1]).toBeLessThan(1000);
  for (const held of chat.opened) await saveHeld(held);
  expect(await thief.state()).toBe('revoked');
});

describe('a socket.io socket', () => {
  test.each(['websocket', 'polling'])('over %s of a revoked login is closed within a second', async (transport) => {
    const chat = await openChat();
    const thief = await chat.login('alice');
    const client = thief.io({ transports: [transport] });
    await happens(client, 'welcome');
    const gone = happens(client, 'disconnect');
    await thief.end();
    expect(await gone).toBeLessThan(1000);
    const [held] = chat.opened;
    if (held === undefined) throw new Error('no socket');
    expect((held.socket as Socket).connected).toBe(false);
    expect(await saveHeld(held)).toBeNull();
    expect(await thief.state()).toBe('revoked');
    expect(chat.bouncer.stats().refused).toMatchObject({ 'save:revoked': 1 });
  });

  test('whose login is revoked while it connects is closed', async () => {
    const chat = await openChat();
    const thief = await chat.login('alice');
    chat.hooks.beforeGuard = () => thief.end();
    const client = thief.io();
    expect(await happens(client, 'disconnect')).toBeLessThan(1000);
  });

  test('guarded in a middleware: refused there when the login has ended', async () => {
    const chat = await openChat();
    const thief = await chat.login('alice');
    chat.hooks.beforeGuard = () => thief.end();
    const client = thief.io({ namespace: '/strict' });
    await Promise.race([happens(client, 'connect_error'), happens(client, 'disconnect')]);
    expect(client.connected).toBe(false);
    expect(chat.opened).toEqual([]);
  });

  test('guarded in a middleware and revoked before it is connected: never connected', async () => {
    const chat = await openChat();
    const thief = await chat.login('alice');
    const heard = new Promise((resolve) => chat.bouncer.on('revoked', resolve));
    chat.hooks.afterMiddleware = async () => {
      await thief.end();
      await heard;
    };
    const client = thief.io({ namespace: '/strict' });
    await Promise.race([happens(client, 'connect_error'), happens(client, 'disconnect')]);
    expect(client.connected).toBe(false);
    expect(chat.opened.filter(({ socket }) => (socket as Socket).connected)).toEqual([]);
  });
});

describe('the sockets of a process', () => {
  interface Fake {
    readonly closes: number[];
    close(code?: number): void;
    terminate(): void;
    once(event: 'close', listener: () => void): void;
    ended: () => void;
  }
  const fake = (): Fake => {
    const closes: number[] = [];
    const made: Fake = {
      closes,
      close: (code = 0) => void closes.push(code),
      terminate: () => {},
      once: (_event, listener) => {
        made.ended = listener;
      },
      ended: () => {},
    };
    return made;
  };

  function watch(
    endMark: () => Promise<EndMark | null>,
    found: RequestLogin | null = { lid: 'lid-a', revoked: false },
  ) {
    const news: { tell?: (notice: RevocationNotice) => unknown; watching?: () => Iterable<string> } = {};
    const log = captureLog();
    const sockets = new Sockets({
      news: {
        listen(tell, watching) {
          Object.assign(news, { tell, watching });
          return () => {};
        },
      },
      logins: { endMark },
      identify: () => found,
      engine: { open: async () => ({ kind: 'anonymous' }) },
      log,
    });
    return { sockets, news, log };
  }
  const notice = { lid: 'lid-a', handles: [], reason: 'country_changed', caseId: 'A', atMs: 1 } as const;

  test('revoked between the registration and the reading of the mark: closed by the news', async () => {
    let answer: (mark: null) => void = () => {};
    const { sockets, news } = watch(
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    const socket = fake();
    const guarded = sockets.guard(socket, {});
    news.tell?.(notice); // the mark was read a moment too early, the news came in time
    answer(null);
    expect(await guarded).toBe(false);
    expect(socket.closes).toEqual([4401]);
    expect(sockets.size).toBe(0);
  });

  test('revoked between the loading of the session and the registration: closed by the mark', async () => {
    const { sockets } = watch(async () => ({ reason: 'country_changed', caseId: 'A', atMs: 1 }));
    const socket = fake();
    expect(await sockets.guard(socket, {})).toBe(false);
    expect(socket.closes).toEqual([4401]);
  });

  test('when nobody can say, it is closed with "try again later"', async () => {
    const { sockets, log } = watch(() => Promise.reject(new Error('away')));
    const socket = fake();
    expect(await sockets.guard(socket, {})).toBe(false);
    expect(socket.closes).toEqual([1013]);
    expect(log.text()).toContain('socket_unchecked');
  });

  test('closed sockets are forgotten, and only the logins of open ones are watched', async () => {
    const { sockets, news } = watch(async () => null);
    const all = Array.from({ length: 100 }, fake);
    for (const socket of all) expect(await sockets.guard(socket, {})).toBe(true);
    expect(sockets.size).toBe(100);
    expect([...(news.watching?.() ?? [])]).toEqual(['lid-a']);
    for (const socket of all) socket.ended();
    expect(sockets.size).toBe(0);
    expect([...(news.watching?.() ?? [])]).toEqual([]);
    news.tell?.(notice);
    expect(all.flatMap(({ closes }) => closes)).toEqual([]);
  });

  test('one that has closed before it is guarded is not held, and may not go on', async () => {
    const { sockets } = watch(async () => null);
    const gone: GuardableSocket[] = [];
    const server = createServer((_req, res) => {
      gone.push(res); // an event stream
      res.write('data: 1\n\n');
    });
    const wss = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    wss.on('connection', (socket) => gone.push(socket));
    const io = new SocketIo(server, { path: '/io' });
    io.use((socket) => void gone.push(socket)); // never connected
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    release(async () => {
      await io.close();
      wss.close();
      server.closeAllConnections();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const leave = new AbortController();
    await fetch(url, { signal: leave.signal });
    const browser = new WebSocket(`ws://127.0.0.1:${(wss.address() as AddressInfo).port}`);
    await new Promise((resolve) => browser.once('open', resolve));
    const client = ioClient(url, { path: '/io', transports: ['websocket'], reconnection: false });
    await until(() => gone.length === 3);
    const closes = gone.map((socket) => {
      const told = 'conn' in socket ? socket.conn : socket;
      return new Promise<void>((resolve) => (told as Socket['conn']).once('close', () => resolve()));
    });
    leave.abort();
    browser.terminate();
    client.disconnect();
    await Promise.all(closes);
    for (const socket of gone) expect(await sockets.guard(socket, {})).toBe(false);
    expect(sockets.size).toBe(0);
  });

  test('an app may ask again, with each message say: one listener is enough', async () => {
    const { sockets } = watch(async () => null);
    const socket = Object.assign(new EventEmitter(), { close: () => {}, terminate: () => {} });
    for (let i = 0; i < 20; i += 1) expect(await sockets.guard(socket, {})).toBe(true);
    expect(socket.listenerCount('close')).toBe(1);
    socket.emit('close');
    expect(sockets.size).toBe(0);
  });

  test('a socket that cannot be closed does not keep the others from it', async () => {
    const { sockets, news, log } = watch(async () => null);
    const [bad, good] = [fake(), fake()];
    bad.close = () => {
      throw new Error('broken');
    };
    await sockets.guard(bad, {});
    await sockets.guard(good, {});
    news.tell?.(notice);
    expect(good.closes).toEqual([4401]);
    expect(log.text()).toContain('socket_not_closed');
  });

  test.each([{}, { lid: undefined }, { headers: {}, lid: 'lid-a' }])(
    'nobody can say whose it is, by %j: it is closed',
    async (of) => {
      const { sockets, log } = watch(async () => null, null);
      const socket = fake();
      expect(await sockets.guard(socket, of)).toBe(false);
      expect(socket.closes).toEqual([1011]);
      expect(log.text()).toContain('socket_without_session');
    },
  );
});

/** A WebSocket by hand, which answers nothing of its own accord. */
async function rawSocket(chat: Chat, { cookie }: Visitor): Promise<TcpSocket> {
  const socket = connectTcp(Number(new URL(chat.url).port), '127.0.0.1');
  release(() => socket.destroy());
  socket.on('error', () => {});
  const lines = ['GET /ws HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade', `Cookie: ${cookie}`];
  const handshake = [...lines, 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Version: 13', '', ''];
  let text = '';
  const welcomed = new Promise<void>((resolve) => {
    const look = (data: Buffer) => {
      text += data.toString('latin1');
      if (!text.includes('welcome')) return;
      socket.off('data', look);
      resolve();
    };
    socket.on('data', look);
  });
  socket.write(handshake.join('\r\n'));
  await welcomed;
  return socket;
}

/** A short text message, masked with zeros (RFC 6455, 5.3). */
function frame(text: string): Buffer {
  const body = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0]), body]);
}
