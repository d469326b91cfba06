/** How a user leaves, in every framework: by `bouncer.logout`, and by what Passport does. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { privateRedis, until } from '../support/index.ts';
import { ADDRESS, Browser } from '../support/shop.ts';
import { Site } from './framework.contract.ts';
import type { Framework } from './frameworks/harness.ts';

async function liveValues(site: Site): Promise<string[]> {
  const found: string[] = [];
  for await (const keys of site.redis.scanStream({ match: `${keysFor(site.prefix).session('')}*`, count: 500 })) {
    const values = await Promise.all((keys as string[]).map((key) => site.redis.get(key)));
    found.push(...values.filter((value): value is string => value?.includes('"k":"live"') ?? false));
  }
  return found;
}

async function expectEnded(site: Site, lid: string, cookie: string): Promise<void> {
  // Where the framework says it with the end of its answer, that may come a moment later.
  await until(async () => (await site.bouncer.sessions.list('alice')).length === 0);
  expect(await site.bouncer.judge({ method: 'GET', target: '/', headers: {}, lid })).toMatchObject({ lid: '' });
  expect(await site.bouncer.sessions.isLive(lid)).toBe(false);
  const page = await fetch(`${site.url}/me`, { headers: { cookie } });
  expect([page.status, await page.json()]).toEqual([200, { user: null, visits: 0 }]);
}

async function passportLogin(site: Site): Promise<{ browser: Browser; lid: string; id: string; cookie: string }> {
  const browser = new Browser(site.url, ADDRESS.london);
  const login = (await browser.post('/passport-login?user=alice')).json();
  expect(login).toMatchObject({ saved: true });
  const cookie = await browser.jar.getCookieString(site.url);
  return { browser, lid: String(login.lid), id: await site.id(browser), cookie };
}

export function logoutContract(framework: Framework): void {
  const isKoa = framework.name.startsWith('koa');

  describe(`${framework.name}: a logout`, () => {
    let site: Site;
    beforeEach(async () => {
      site = await Site.open(framework);
    });

    test.each(['/sign-out', '/regenerate-and-sign-out'])(
      'by bouncer.logout ends the login, stores nothing, and may be repeated: %s',
      async (path) => {
        const { browser, lid } = await site.loggedIn();
        const cookie = await browser.jar.getCookieString(site.url);
        for (let i = 0; i < 2; i++) {
          const page = await browser.post(path);
          expect([page.status, page.json()]).toEqual([200, { bye: true }]);
          expect(await liveValues(site)).toEqual([]);
        }
        await expectEnded(site, lid, cookie);
        expect(await browser.user()).toBe(null);
      },
    );

    test('by bouncer.logout ends the other ids of the login too', async () => {
      const { browser, lid } = await site.loggedIn();
      const tab = site.browser();
      for (const cookie of await browser.jar.getCookies(site.url)) await tab.jar.setCookie(cookie, site.url);
      const both = [browser.post('/slow-regenerate'), tab.post('/slow-regenerate')];
      await site.held.arrived(2);
      site.held.release();
      await Promise.all(both);
      expect([await browser.user(), await tab.user()]).toEqual(['alice', 'alice']);
      expect(await site.id(browser)).not.toBe(await site.id(tab));
      const cookie = await browser.jar.getCookieString(site.url);
      await browser.post('/sign-out');
      expect(await tab.user()).toBe(null);
      await expectEnded(site, lid, cookie);
      expect(await liveValues(site)).toEqual([]);
    });

    test('what is put into the session after it is an anonymous session', async () => {
      const { browser, lid, id } = await site.loggedIn();
      const cookie = await browser.jar.getCookieString(site.url);
      // There it is null, as after koa-session's own logout.
      await browser.post(isKoa ? '/sign-out' : '/sign-out?flash=1');
      const live = await liveValues(site);
      expect(live.map((value) => [value.includes('"l":""'), value.includes('"flash":"bye"')])).toEqual(
        isKoa ? [] : [[true, true]],
      );
      expect(await site.id(browser)).not.toBe(id);
      if (!isKoa) expect(await site.id(browser)).not.toBe('');
      expect(await browser.user()).toBe(null);
      await expectEnded(site, lid, cookie);
    });

    test.each(['before it comes', 'under way'])('while the store is away is told, and done later: %s', async (when) => {
      const server = await privateRedis();
      const own = await Site.open(framework, {}, { redis: server.url, redisTimeoutMs: 300 });
      const { browser, lid, id } = await own.loggedIn();
      const cookie = await browser.jar.getCookieString(own.url);
      const running = when === 'under way' ? browser.post('/slow-sign-out') : null;
      if (running !== null) await own.held.arrived(1);
      server.pause();
      own.held.release();
      const page = await (running ?? browser.post('/sign-out'));
      expect([page.status, page.json()]).toEqual([409, { code: 'session_unavailable' }]);
      server.resume();
      const key = keysFor(own.prefix).session(sessionHandle(id));
      await until(async () => (await own.redis.get(key))?.includes('"k":"logout"'));
      await expectEnded(own, lid, cookie);
    });

    test.each(['/passport-logout', '/passport-sign-out', '/regenerate-only'])(
      'without a word left in the session ends the login: %s',
      async (path) => {
        const { browser, lid, cookie } = await passportLogin(site);
        expect((await browser.post(path)).json()).toEqual({ bye: true });
        // koa-session's regenerate keeps the data, and with it the login.
        if (isKoa && path === '/regenerate-only') {
          expect(await site.bouncer.sessions.isLive(lid)).toBe(true);
          return;
        }
        await expectEnded(site, lid, cookie);
      },
    );

    test("Passport's, with a message for the next page: the login ends, the message stays", async () => {
      let now = Date.now();
      const own = await Site.open(framework, {}, { clock: () => now });
      const { browser, lid, id, cookie } = await passportLogin(own);
      await browser.post('/passport-logout?flash=1');
      const live = await liveValues(own);
      expect(live).toHaveLength(1);
      expect([live[0]?.includes('"l":""'), live[0]?.includes('"flash":"bye"')]).toEqual([true, true]);
      expect(await own.id(browser)).not.toBe(id);
      now += 61_000;
      await expectEnded(own, lid, cookie);
      expect(own.log.text()).not.toContain('session_reused');
      expect((await browser.login('alice')).json()).toMatchObject({ saved: true });
      expect((await own.bouncer.sessions.list('alice')).length).toBe(1);
    });

    test("Passport's, of a session that was revoked under way, leaves nothing alive", async () => {
      const { browser, lid, id } = await passportLogin(site);
      const running = browser.post('/slow-passport-logout?flash=1');
      await site.held.arrived(1);
      await site.revoke(lid, id);
      site.held.release();
      expect((await running).status).toBe(200);
      expect(await liveValues(site)).toEqual([]);
      expect(site.bouncer.stats().refused).toHaveProperty('save:revoked');
    });

    test("Passport's sign-in over a session goes on with its login: whoever ends that, ends this", async () => {
      const { browser, lid, id } = await passportLogin(site);
      expect((await browser.post('/passport-switch?user=bob')).json()).toEqual({ user: 'bob' });
      expect(await site.bouncer.sessions.isLive(lid)).toBe(true);
      await site.revoke(lid, id);
      expect((await browser.get('/me')).status).toBe(303);
    });
  });
}
