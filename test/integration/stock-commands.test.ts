/** What an established session costs under a framework's stock store, in calls of the store; ours never costs more. */
import { createServer } from 'node:http';
import cookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { describe, expect, test } from '@jest/globals';
import express from 'express';
import session from 'express-session';
import fastify from 'fastify';
import Koa from 'koa';
import koaSession from 'koa-session';
import { listening } from '../contract/frameworks/express.ts';
import { release } from '../support/index.ts';
import { ADDRESS, Browser } from '../support/shop.ts';

const SECRET = 'a secret of the tests, forty letters long';

/** What our adapters send for the same, in every framework (test/contract asserts it). */
const OURS = { read: 1, change: 2, regenerate: 2 };
/** And where the store itself gives a new id (test/integration/rotation.test.ts), against a regenerate. */
const ROTATED = { read: 2, change: 3 };

type Done = (error: unknown, value?: unknown) => void;

/** A stock store: each call is one command, as in connect-redis. */
class CountingStore extends session.Store {
  calls: string[] = [];
  readonly #values = new Map<string, string>();

  get(id: string, done?: unknown): Promise<unknown> {
    this.calls.push('GET');
    const value = this.#values.get(id);
    return settle(done, value === undefined ? null : JSON.parse(value));
  }

  set(id: string, value: object, done?: unknown): Promise<unknown> {
    this.calls.push('SET');
    this.#values.set(id, JSON.stringify(value));
    return settle(done, null);
  }

  destroy(id: string, done?: unknown): Promise<unknown> {
    this.calls.push('DEL');
    this.#values.delete(id);
    return settle(done, null);
  }
}

/** express-session renews the time to live where a store can. */
class TouchingStore extends CountingStore {
  override touch = (_id: string, _value: object, done?: () => void): void => {
    this.calls.push('EXPIRE');
    done?.();
  };
}

function settle(done: unknown, value: unknown): Promise<unknown> {
  if (typeof done === 'function') (done as Done)(null, value);
  return Promise.resolve(value);
}

interface Visits {
  visits?: number;
}
const visit = (data: Visits) => {
  data.visits = (data.visits ?? 0) + 1;
};

async function stockExpress(store: CountingStore, resave: boolean): Promise<string> {
  const app = express();
  app.use(session({ store, secret: SECRET, resave, saveUninitialized: false }));
  app.get('/me', (_req, res) => void res.end());
  app.post('/change', (req, res) => {
    visit(req.session as Visits);
    res.end();
  });
  app.post('/regenerate', (req, res) => {
    const { visits } = req.session as Visits;
    req.session.regenerate(() => {
      Object.assign(req.session, { visits });
      res.end();
    });
  });
  app.post('/regenerate-and-save', (req, res) => {
    const { visits } = req.session as Visits;
    req.session.regenerate(() => {
      Object.assign(req.session, { visits });
      req.session.save(() => res.end());
    });
  });
  const { url, close } = await listening(createServer(app));
  release(close);
  return url;
}

async function stockFastify(store: CountingStore, rolling: boolean): Promise<string> {
  const app = fastify();
  app.register(cookie);
  app.register(fastifySession, { store: store as never, secret: SECRET, cookie: { secure: false }, rolling });
  app.get('/me', async () => '');
  app.post('/change', async (request) => {
    visit(request.session as Visits);
    return '';
  });
  for (const path of ['/regenerate', '/regenerate-and-save']) {
    app.post(path, async (request) => {
      const { visits } = request.session as Visits;
      await request.session.regenerate();
      Object.assign(request.session, { visits });
      return '';
    });
  }
  release(() => app.close());
  return app.listen({ port: 0, host: '127.0.0.1' });
}

async function stockKoa(store: CountingStore, rolling: boolean): Promise<string> {
  const app = new Koa();
  app.keys = [SECRET];
  app.use(koaSession({ store: store as never, rolling }, app) as never);
  app.use(async (ctx) => {
    const { session: mine } = ctx as unknown as { session: { regenerate(): Promise<void> } };
    if (ctx.path.startsWith('/regenerate')) await mine.regenerate();
    if (ctx.path === '/change') visit((ctx as unknown as { session: Visits }).session);
    ctx.body = '';
  });
  const { url, close } = await listening(createServer(app.callback()));
  release(close);
  return url;
}

describe('a stock store', () => {
  test.each([
    ['express, resave: false', stockExpress, false, new TouchingStore(), ['GET', 'EXPIRE'], ['GET', 'SET']],
    ['express, resave: true', stockExpress, true, new TouchingStore(), ['GET', 'SET'], ['GET', 'SET']],
    ['fastify, rolling: true', stockFastify, true, new CountingStore(), ['GET', 'SET'], ['GET', 'SET']],
    ['fastify, rolling: false', stockFastify, false, new CountingStore(), ['GET'], ['GET', 'SET']],
    ['koa, rolling: true', stockKoa, true, new CountingStore(), ['GET', 'SET'], ['GET', 'SET']],
    ['koa, rolling: false', stockKoa, false, new CountingStore(), ['GET'], ['GET', 'SET']],
  ])('%s', async (_name, open, eager, store, read, change) => {
    const browser = new Browser(await open(store, eager), ADDRESS.london);
    await browser.post('/change');
    store.calls = [];
    await browser.get('/me');
    expect(store.calls).toEqual(read);
    store.calls = [];
    await browser.post('/change');
    expect(store.calls).toEqual(change);
    expect(OURS.read).toBeLessThanOrEqual(read.length);
    expect(OURS.change).toBeLessThanOrEqual(change.length);
    store.calls = [];
    await browser.post('/regenerate');
    expect(store.calls.slice(0, 3)).toEqual(['GET', 'DEL', 'SET']);
    expect(OURS.regenerate).toBeLessThanOrEqual(store.calls.length);
    expect(ROTATED.read).toBeLessThanOrEqual(store.calls.length);
    store.calls = [];
    await browser.post('/regenerate-and-save');
    expect(ROTATED.change).toBeLessThanOrEqual(store.calls.length);
  });
});
