/** Requests over a stock store that are held in the middle of their work, while the worker ends their session. */
import { expect } from '@jest/globals';
import type { Request, Response } from 'express';
import type { Session } from 'express-session';
import type { Redis } from 'ioredis';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import type { Browser } from './shop.ts';
import { type Kind, openStockShop, type StockOptions } from './stock-shop.ts';

const LONG_MS = 1_000_000;
export const CASE = 'K7QX-2M9F-4T8A';

/** As the worker does it: by the handle and the login of the login event. */
export async function revoke(redis: Redis, prefix: string, sessionId: string, lid: unknown): Promise<void> {
  const one = { handle: sessionHandle(sessionId), lid: String(lid), reason: 'country_changed', caseId: CASE } as const;
  const [result] = await redisSessions(redis, keysFor(prefix), LONG_MS).revoke([{ ...one, atMs: Date.now() }]);
  expect(result).toMatchObject({ outcome: 'revoked' });
}

export const cookieOf = (browser: Browser, url: string) => browser.jar.getCookieString(url);
export const userWith = async (url: string, cookie: string) => {
  const response = await fetch(`${url}/me`, { headers: { cookie, accept: 'text/html' }, redirect: 'manual' });
  return response.status === 200 ? ((await response.json()) as { user: unknown }).user : response.status;
};

/** What a request may be doing while the worker ends its session; `pause` is where it waits for that. */
export type Work = (req: Request, pause: () => Promise<void>) => Promise<unknown>;
export const call = (act: (done: (error?: unknown) => void) => unknown) =>
  new Promise<void>((resolve, reject) => act((error) => (error ? reject(error) : resolve())));
export const put = (session: Session, data: object) => Object.assign(session, data);

export const IN_FLIGHT: Record<string, Work> = {
  reads: async (_req, pause) => pause(),
  changes: async (req, pause) => {
    put(req.session, { seen: 1 });
    await pause();
  },
  'saves explicitly, and at its end': async (req, pause) => {
    await pause();
    put(req.session, { seen: 2 });
    await call((done) => req.session.save(done));
    put(req.session, { seen: 3 });
  },
  'regenerates after and copies': async (req, pause) => {
    const { userId } = req.session as { userId?: string };
    await pause();
    await call((done) => req.session.regenerate(done));
    put(req.session, { userId });
  },
  'has regenerated before, and copies after': async (req, pause) => {
    const { userId } = req.session as { userId?: string };
    await call((done) => req.session.regenerate(done));
    await pause();
    put(req.session, { userId });
  },
  'has regenerated and saved before': async (req, pause) => {
    const { userId } = req.session as { userId?: string };
    await call((done) => req.session.regenerate(done));
    put(req.session, { userId });
    await call((done) => req.session.save(done));
    await pause();
    put(req.session, { seen: 4 });
  },
  'regenerates twice': async (req, pause) => {
    const { userId } = req.session as { userId?: string };
    await call((done) => req.session.regenerate(done));
    put(req.session, { userId });
    await call((done) => req.session.save(done));
    await pause();
    await call((done) => req.session.regenerate(done));
    put(req.session, { userId });
  },
};

/** Opens a shop in which `/held` does its work and waits in the middle of it until it is released. */
export async function openHeld(kind: Kind, prefix: string, work: Work, options: StockOptions = {}) {
  const held: { release?: (() => void) | undefined } = {};
  const shop = await openStockShop(kind, prefix, {
    ...options,
    routes: (app) =>
      app.post('/held', (req: Request, res: Response, next) => {
        const pause = () =>
          new Promise<void>((resolve) => {
            held.release = resolve;
          });
        work(req, pause).then(() => res.json({ ok: true }), next);
      }),
  });
  return { ...shop, held };
}

export const SETTINGS = [
  { resave: false, rolling: false },
  { resave: true, rolling: false },
  { resave: false, rolling: true },
  { resave: true, rolling: true },
];
