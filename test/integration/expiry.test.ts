/** Where only the time to live is renewed nothing is written; the session must not seem to have expired all the same. */
import { expect, test } from '@jest/globals';
import { openFastifyShop } from '../support/fastify-shop.ts';
import { connect, testPrefix, until } from '../support/index.ts';
import { type Browser, openShop } from '../support/shop.ts';
import { openStockShop } from '../support/stock-shop.ts';

const MAX_AGE_MS = 1500;

/** Reads for longer than the cookie lives, never pausing for long. */
async function readOn(browser: Browser): Promise<void> {
  const endMs = Date.now() + MAX_AGE_MS * 1.6;
  while (Date.now() < endMs) {
    expect(await browser.user()).toBe('alice');
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

const loggedIn = (browser: Browser) => until(async () => (await browser.login('alice')).json().saved === true);

test('fastify: who is active stays logged in past the maxAge, as with its own store', async () => {
  const shop = await openFastifyShop({ session: { cookie: { maxAge: MAX_AGE_MS } } });
  const browser = shop.browser();
  await loggedIn(browser);
  await readOn(browser);
  expect(await browser.user()).toBe('alice');
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
  const browser = shop.browser();
  await loggedIn(browser);
  await readOn(browser);
  await browser.post('/save');
  const [key] = await connect().keys(`${prefix}:session:*`);
  expect(await connect().pttl(key ?? '')).toBeGreaterThan(MAX_AGE_MS * 0.8);
  expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits: 7 });
});

test('a stock store: the same', async () => {
  const session = { cookie: { maxAge: MAX_AGE_MS }, rolling: true };
  const shop = await openStockShop('connect-redis 8', testPrefix(), { session, routes: SAVE });
  const browser = shop.browser();
  await loggedIn(browser);
  await readOn(browser);
  await browser.post('/save');
  expect((await browser.get('/me')).json()).toMatchObject({ user: 'alice', visits: 7 });
});
