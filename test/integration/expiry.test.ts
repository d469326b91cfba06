/** Where only the time to live is renewed nothing is written; the session must not seem to have expired all the same. */
import { expect, test } from '@jest/globals';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { openFastifyShop } from '../support/fastify-shop.ts';
import { connect, testPrefix, until } from '../support/index.ts';
import { type Browser, openShop } from '../support/shop.ts';
import { openStockShop } from '../support/stock-shop.ts';

const MAX_AGE_MS = 1500;
/** Whoever asks again within this, the answer included, was never away for as long as the cookie lives. */
const ACTIVE_MS = MAX_AGE_MS * 0.8;

type Send = <T>(send: () => Promise<T>) => Promise<T>;
class Paused extends Error {}

/** Does what somebody does who is active: from the beginning again where the machine stood still, as then they were not. */
async function whoIsActive(work: (active: Send) => Promise<void>): Promise<void> {
  for (;;) {
    let lastMs = performance.now();
    const active: Send = async (send) => {
      const startMs = performance.now();
      const answer = await send();
      if (performance.now() - lastMs > ACTIVE_MS) throw new Paused();
      lastMs = startMs;
      return answer;
    };
    try {
      return await work(active);
    } catch (error) {
      if (!(error instanceof Paused)) throw error;
    }
  }
}

/** Logs in, and reads for longer than the cookie lives. */
async function readOn(browser: Browser, active: Send): Promise<void> {
  await active(() => until(async () => (await browser.login('alice')).json().saved === true));
  const endMs = Date.now() + MAX_AGE_MS * 1.6;
  while (Date.now() < endMs) {
    expect(await active(() => browser.user())).toBe('alice');
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

test('fastify: who is active stays logged in past the maxAge, as with its own store', async () => {
  const shop = await openFastifyShop({ session: { cookie: { maxAge: MAX_AGE_MS } } });
  await whoIsActive(async (active) => {
    const browser = shop.browser();
    await readOn(browser, active);
    expect(await active(() => browser.user())).toBe('alice');
  });
});

const SAVE = (app: Parameters<NonNullable<NonNullable<Parameters<typeof openShop>[1]>['routes']>>[0]) => {
  app.post('/save', (req, res) => {
    Object.assign(req.session, { visits: 7 });
    req.session.save((error: unknown) => res.end(String(error)));
  });
};

test('express: a save after a long time of reading is no logout, nor does it shorten the life', async () => {
  const prefix = testPrefix();
  const session = { cookie: { maxAge: MAX_AGE_MS }, rolling: true };
  const shop = await openShop(prefix, { session, routes: SAVE });
  const redis = connect();
  await whoIsActive(async (active) => {
    const browser = shop.browser();
    await readOn(browser, active);
    const savedMs = performance.now();
    await active(() => browser.post('/save'));
    const key = keysFor(prefix).session(sessionHandle(await browser.sessionId()));
    const left = await active(() => redis.pttl(key));
    expect(left + performance.now() - savedMs).toBeGreaterThan(MAX_AGE_MS * 0.8);
    expect((await active(() => browser.get('/me'))).json()).toEqual({ user: 'alice', visits: 7 });
  });
});

test('a stock store: the same', async () => {
  const session = { cookie: { maxAge: MAX_AGE_MS }, rolling: true };
  const shop = await openStockShop('connect-redis 8', testPrefix(), { session, routes: SAVE });
  await whoIsActive(async (active) => {
    const browser = shop.browser();
    await readOn(browser, active);
    await active(() => browser.post('/save'));
    expect((await active(() => browser.get('/me'))).json()).toMatchObject({ user: 'alice', visits: 7 });
  });
});
