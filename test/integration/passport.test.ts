/** With the real Passport, as docs/sessions.md shows it: in by its strategy, out by its own logout or by ours. */
import { describe, expect, test } from '@jest/globals';
import type { Express, NextFunction, Request, Response } from 'express';
import passport from 'passport';
import type { Bouncer } from '../../src/index.ts';
import { testPrefix, until } from '../support/index.ts';
import { openShop } from '../support/shop.ts';

/** Whoever names themselves is believed. */
class Named extends passport.Strategy {
  override readonly name = 'named';
  override authenticate(req: Request): void {
    this.success({ id: String(req.query.user) });
  }
}

interface User {
  readonly id: string;
}

function routes(app: Express, bouncer: Bouncer): void {
  const own = new passport.Passport();
  own.use(new Named());
  own.serializeUser((user, done) => done(null, (user as User).id));
  own.deserializeUser((id, done) => done(null, { id }));
  app.use(own.session() as (req: Request, res: Response, next: NextFunction) => void);
  app.post('/passport-login', own.authenticate('named', { session: false }), async (req, res) => {
    const { id } = req.user as User;
    res.json(await bouncer.login(req, { userId: id, data: { passport: { user: id } } }));
  });
  app.get('/passport-user', (req, res) => void res.json({ user: (req.user as User | undefined)?.id ?? null }));
  app.post('/passport-logout', (req, res, next) => {
    const keepSessionInfo = req.query.keep === '1';
    if (keepSessionInfo) Object.assign(req.session, { basket: 'kept' });
    req.logout({ keepSessionInfo }, (error) => (error ? next(error) : res.json({ basket: basketOf(req) })));
  });
  app.post('/our-logout', (req, res, next) => void bouncer.logout(req).then(() => res.json({}), next));
  app.get('/basket', (req, res) => void res.json({ basket: basketOf(req) }));
}

const basketOf = (req: Request) => (req.session as { basket?: string }).basket ?? null;

async function loggedIn() {
  const shop = await openShop(testPrefix(), { routes });
  const browser = shop.browser();
  const { lid } = (await browser.post('/passport-login?user=alice')).json() as { lid: string };
  const user = async () => (await browser.get('/passport-user')).json().user;
  expect(await user()).toBe('alice');
  expect(await shop.bouncer.sessions.list('alice')).toHaveLength(1);
  return { shop, browser, lid, user };
}

describe('with Passport', () => {
  test.each(['/passport-logout', '/passport-logout?keep=1', '/our-logout'])(
    '%s ends the login: the old cookie is nobody, and the list is empty',
    async (path) => {
      const { shop, browser, lid, user } = await loggedIn();
      const before = await browser.jar.getCookieString(shop.url);
      expect((await browser.post(path)).status).toBe(200);
      await until(async () => (await shop.bouncer.sessions.list('alice')).length === 0);
      expect(await shop.bouncer.sessions.isLive(lid)).toBe(false);
      expect(await user()).toBeNull();
      const old = await fetch(`${shop.url}/passport-user`, { headers: { cookie: before } });
      expect(await old.json()).toEqual({ user: null });
    },
  );

  test('what keepSessionInfo keeps is an anonymous session, in which somebody may log in again', async () => {
    const { shop, browser, user } = await loggedIn();
    await browser.post('/passport-logout?keep=1');
    expect((await browser.get('/basket')).json()).toEqual({ basket: 'kept' });
    const { lid } = (await browser.post('/passport-login?user=bob')).json() as { lid: string };
    expect(await user()).toBe('bob');
    expect((await shop.bouncer.sessions.list('bob')).map((session) => session.lid)).toEqual([lid]);
  });

  test('a revoked login is bounced, and Passport knows nobody', async () => {
    const { shop, browser, lid } = await loggedIn();
    await shop.bouncer.sessions.end(lid, { by: 'a test', why: 'to see it' });
    expect((await browser.get('/passport-user')).body).not.toContain('alice');
  });
});
