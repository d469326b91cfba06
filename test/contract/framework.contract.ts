/** What every framework's adapter must keep: one suite, run for each (see framework.test.ts). */
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { type Bouncer, type BouncerOptions, createBouncer } from '../../src/index.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisUndo } from '../../src/redis/undo.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { commandsOn } from '../support/commands.ts';
import { captureLog, connect, privateRedis, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { ADDRESS, Browser, patienceFor } from '../support/shop.ts';
import { type AppOptions, type Framework, Held } from './frameworks/harness.ts';

const LONG_MS = 1_000_000;
const CASE = 'AAAA-BBBB-CCCC';
/** How soon a login is queued is for the benches; here it only must be, on a busy machine too. */
const ENQUEUE_TIMEOUT_MS = 10_000;
const NOBODY = 'n'.repeat(22);

export class Site {
  readonly prefix = testPrefix();
  readonly held = new Held();
  readonly log = captureLog();
  readonly framework: Framework;
  readonly bouncer: Bouncer;
  readonly redis: Redis;
  url = '';

  private constructor(framework: Framework, more: Partial<BouncerOptions>, redis: Redis) {
    this.framework = framework;
    this.redis = redis;
    const ours = { redis: testRedisUrl(), prefix: this.prefix, enqueueTimeoutMs: ENQUEUE_TIMEOUT_MS };
    this.bouncer = createBouncer({ ...ours, trustProxy: ['loopback'], log: this.log, ...more });
  }

  static async open(framework: Framework, app: AppOptions = {}, more: Partial<BouncerOptions> = {}): Promise<Site> {
    const site = new Site(
      framework,
      { ...patienceFor(more), ...more },
      connect(typeof more.redis === 'string' ? more.redis : undefined),
    );
    const running = await framework.open(site.bouncer, site.held, app);
    site.url = running.url;
    release(async () => {
      site.held.release();
      await running.close();
      await site.bouncer.close();
    });
    // Its connection stands, before a short `redisTimeoutMs` counts.
    await until(async () => (await site.bouncer.sessions.isLive(NOBODY)) === false);
    return site;
  }

  browser(): Browser {
    return new Browser(this.url, ADDRESS.london);
  }

  async loggedIn(user = 'alice'): Promise<{ browser: Browser; lid: string; id: string }> {
    const browser = this.browser();
    const login = (await browser.login(user)).json();
    expect(login).toMatchObject({ status: 'queued', saved: true });
    return { browser, lid: String(login.lid), id: await this.id(browser) };
  }

  async cookie(browser: Browser): Promise<string> {
    const cookies = await browser.jar.getCookies(this.url);
    return decodeURIComponent(cookies.find(({ key }) => key === this.framework.cookie)?.value ?? '');
  }

  async id(browser: Browser): Promise<string> {
    return this.framework.idIn(await this.cookie(browser));
  }

  async revoke(lid: string, id: string): Promise<void> {
    const sessions = redisSessions(this.redis, keysFor(this.prefix), LONG_MS);
    const revocation = {
      handle: sessionHandle(id),
      lid,
      reason: 'country_changed',
      caseId: CASE,
      atMs: Date.now(),
    } as const;
    const [result] = await sessions.revoke([revocation]);
    if (result instanceof Error) throw result;
  }

  async giveBack(lid: string, id: string): Promise<void> {
    const outcome = await redisUndo(this.redis, keysFor(this.prefix)).lift({
      lid,
      handle: sessionHandle(id),
      atMs: Date.now(),
    });
    expect(outcome).toBe('given_back');
  }

  /** koa-session's signature is a cookie of its own. */
  get sessionNames(): string[] {
    const { name, cookie } = this.framework;
    return name.startsWith('koa') ? [cookie, `${cookie}.sig`] : [cookie];
  }

  async names(browser: Browser): Promise<string[]> {
    const cookies = await browser.jar.getCookies(this.url);
    return cookies
      .map(({ key }) => key)
      .filter((key) => !key.endsWith('.bouncer-back'))
      .sort();
  }

  /** Every session of this site that is alive with a user in it. */
  async alive(): Promise<string[]> {
    const found: string[] = [];
    for await (const keys of this.redis.scanStream({ match: `${keysFor(this.prefix).session('')}*`, count: 500 })) {
      const values = await Promise.all((keys as string[]).map((key) => this.redis.get(key)));
      found.push(...values.filter((value): value is string => value?.includes('"userId"') ?? false));
    }
    return found;
  }

  /** The commands on session and login keys while `work` runs, sent by clients (not from inside scripts). */
  commands(work: () => Promise<unknown>): Promise<string[]> {
    return commandsOn(this.redis, `${this.prefix}:`, work);
  }
}

export function frameworkContract(framework: Framework): void {
  describe(framework.name, () => {
    let site: Site;
    beforeEach(async () => {
      site = await Site.open(framework);
    });

    test('login, read, change, logout', async () => {
      const anonymous = site.browser();
      expect((await anonymous.get('/me')).json()).toEqual({ user: null, visits: 0 });
      await anonymous.post('/change');
      const before = await site.id(anonymous);
      expect(before).not.toBe('');
      expect((await anonymous.login('alice')).json()).toMatchObject({ status: 'queued', saved: true });
      expect(await site.id(anonymous)).not.toBe(before); // session fixation
      expect((await anonymous.get('/me')).json()).toEqual({ user: 'alice', visits: 0 });
      await anonymous.post('/change');
      expect((await anonymous.post('/change')).json()).toEqual({ user: 'alice', visits: 2 });
      const cookie = await anonymous.jar.getCookieString(site.url);
      expect((await anonymous.post('/logout')).json()).toEqual({ bye: true });
      const page = await fetch(`${site.url}/me`, { headers: { cookie } });
      expect([page.status, await page.json()]).toEqual([200, { user: null, visits: 0 }]); // no gotcha for a logout
      expect(await site.alive()).toEqual([]);
    });

    test('revoked: a page is sent to the gotcha page, a script gets 401, the handler does not run, the cookie goes', async () => {
      const { browser, lid, id } = await site.loggedIn();
      const thief = site.browser();
      for (const cookie of await browser.jar.getCookies(site.url)) await thief.jar.setCookie(cookie, site.url);
      await site.revoke(lid, id);
      site.held.handled = 0;
      const script = await thief.get('/me', { accept: 'application/json' });
      const told = { code: 'session_ended', location: `/gotcha?case=${CASE}` };
      expect([script.status, script.json()]).toEqual([401, told]);
      const page = await browser.get('/me');
      expect([page.status, page.location, page.body]).toEqual([303, `/gotcha?case=${CASE}`, '']);
      for (const answer of [script, page]) expect(answer.headers.get('cache-control')).toBe('no-store');
      expect(site.held.handled).toBe(0);
      for (const each of [browser, thief]) expect(await site.cookie(each)).toBe('');
      const gotcha = await browser.get(page.location ?? '');
      expect(gotcha.status).toBe(200);
      expect(gotcha.headers.get('cache-control')).toBe('no-store');
      expect(gotcha.body).toContain(CASE);
      expect(site.bouncer.stats().bounced).toBe(2);
    });

    test('given back: the bounced browser is logged in again, by the next page', async () => {
      const { browser, lid, id } = await site.loggedIn();
      const tab = site.browser();
      for (const cookie of await browser.jar.getCookies(site.url)) await tab.jar.setCookie(cookie, site.url);
      await site.revoke(lid, id);
      for (const each of [browser, tab]) expect((await each.get('/me')).status).toBe(303);
      expect([await site.cookie(browser), await site.cookie(tab)]).toEqual(['', '']);
      const gotcha = await browser.get(`/gotcha?case=${CASE}`);
      expect(gotcha.status).toBe(200); // still ended: nothing comes back by asking
      expect((await tab.get('/me', { accept: 'application/json' })).json()).toEqual({ user: null, visits: 0 });
      await site.giveBack(lid, id);
      const page = await browser.get('/me?tab=1');
      expect([page.status, page.location, page.headers.get('cache-control')]).toEqual([303, '/me?tab=1', 'no-store']);
      expect(await site.id(browser)).toBe(id);
      expect(await browser.user()).toBe('alice');
      const script = await tab.get('/me', { accept: 'application/json' });
      expect(script.json()).toEqual({ user: null, visits: 0 }); // it cannot be asked for again
      expect((await tab.get('/me')).status).toBe(303);
      expect(await tab.user()).toBe('alice');
      for (const each of [browser, tab]) expect(await site.names(each)).toEqual(site.sessionNames);
    });

    test('given back: an anonymous session that the browser got meanwhile gives way', async () => {
      const { browser, lid, id } = await site.loggedIn();
      await site.revoke(lid, id);
      await browser.get('/me');
      await browser.post('/change'); // a form's token, a flash message
      expect(await site.id(browser)).not.toBe('');
      expect((await browser.get('/me')).json()).toEqual({ user: null, visits: 1 });
      await site.giveBack(lid, id);
      expect((await browser.get('/me')).status).toBe(303);
      expect(await site.id(browser)).toBe(id);
      expect(await browser.user()).toBe('alice');
    });

    test('given back: a cookie that the browser does not take is tried once', async () => {
      const { browser, lid, id } = await site.loggedIn();
      const cookies = await browser.jar.getCookieString(site.url);
      await site.revoke(lid, id);
      await site.giveBack(lid, id);
      const held = cookies.split('; ').map((pair) => pair.replace('=', '.bouncer-held='));
      const ask = (more: string[]) =>
        fetch(`${site.url}/me`, {
          redirect: 'manual',
          headers: { accept: 'text/html', cookie: [...held, 'cart.bouncer-held=3', ...more].join('; ') },
        });
      const first = await ask([]);
      expect(first.status).toBe(303);
      expect(first.headers.getSetCookie().join()).not.toContain('cart');
      const tried = first.headers.getSetCookie().find((line) => line.includes('.bouncer-back='));
      expect(tried).toMatch(/Max-Age=10; /);
      expect((await ask([String(tried).split(';')[0] ?? ''])).status).toBe(200);
    });

    test('given back: the gotcha page sends its reader home', async () => {
      const { browser, lid, id } = await site.loggedIn();
      await site.revoke(lid, id);
      const { location = '' } = await browser.get('/me');
      await site.giveBack(lid, id);
      const again = await browser.get(location ?? '');
      expect([again.status, again.location]).toEqual([303, '/']);
      expect(await browser.user()).toBe('alice');
    });

    test('given back, but its holder has logged in anew, or it was a logout: what was kept in the browser goes', async () => {
      const { browser, lid, id } = await site.loggedIn();
      await site.revoke(lid, id);
      await browser.get('/me');
      await browser.login('alice');
      await site.giveBack(lid, id);
      expect(await browser.user()).toBe('alice');
      expect(await site.id(browser)).not.toBe(id);
      expect(await site.names(browser)).toEqual(site.sessionNames);
      await browser.post('/logout');
      expect((await browser.get('/me', { accept: 'application/json' })).json()).toMatchObject({ user: null });
    });

    test('a held cookie gives back only what a person gave back, and is screened as the session cookie is', async () => {
      const { browser: mallory, lid, id } = await site.loggedIn('mallory');
      const held = (await mallory.jar.getCookieString(site.url))
        .split('; ')
        .map((p) => p.replace('=', '.bouncer-held='));
      const victim = site.browser();
      await victim.post('/change'); // an anonymous session of its own
      const own = await victim.jar.getCookieString(site.url);
      const visit = (...cookies: string[]) => victim.get('/me', { cookie: [own, ...cookies].join('; ') });
      expect((await visit(...held)).json()).toEqual({ user: null, visits: 1 }); // planted, of a session that never ended
      await site.revoke(lid, id);
      await site.giveBack(lid, id);
      const [first = '', ...rest] = held;
      const bare = `${first.split('=')[0]}=${encodeURIComponent(`${id}.${'x'.repeat(43)}`)}`;
      const unsigned =
        rest.length > 0 ? [first] : [site.framework.name.startsWith('express') ? bare.replace('=', '=s%3A') : bare];
      expect((await visit(...unsigned)).json()).toEqual({ user: null, visits: 1 });
      expect(site.bouncer.stats().refused).toMatchObject({ 'id:bad_signature': 1 });
      expect((await visit(`${first}x`, ...held)).json()).toEqual({ user: null, visits: 1 });
      expect(site.bouncer.stats().refused).toMatchObject({ 'id:duplicate': 1 });
      expect((await visit(...held)).status).toBe(303); // as its holder's browser would bring it
    });

    test('which login a request belongs to: a user ends all but that one', async () => {
      const { browser, lid } = await site.loggedIn();
      const { browser: other, lid: otherLid } = await site.loggedIn();
      expect(otherLid).not.toBe(lid);
      expect((await site.browser().get('/lid')).json()).toEqual({ lid: '' });
      expect((await browser.get('/lid')).json()).toEqual({ lid });
      await browser.post('/regenerate');
      expect((await browser.get('/lid')).json()).toEqual({ lid });
      expect((await browser.post('/log-out-others')).json()).toEqual({ ended: 1, failed: 0 });
      expect([await browser.user(), await other.user()]).toEqual(['alice', null]);
    });

    test('open routes stay reachable, on a fresh id; a login there works', async () => {
      const { browser, lid, id } = await site.loggedIn();
      await site.revoke(lid, id);
      const open = await browser.get('/login');
      expect([open.status, open.json()]).toEqual([200, { user: null, visits: 0 }]);
      expect((await browser.login('alice')).json()).toMatchObject({ saved: true });
      expect(await site.id(browser)).not.toBe(id);
      expect(await browser.user()).toBe('alice');
    });

    test('an app that regenerates without knowing of us carries the login: revoking it kills the new id', async () => {
      const { browser, lid, id } = await site.loggedIn();
      await browser.post('/change');
      expect((await browser.post('/regenerate')).json()).toEqual({ user: 'alice', visits: 1 });
      const next = await site.id(browser);
      expect(next).not.toBe(id);
      expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits: 1 });
      await browser.post('/regenerate');
      expect(await browser.user()).toBe('alice');
      await site.revoke(lid, id); // by the first id: the worker knows no other
      expect(await browser.user()).toBe('status 303');
      expect(await site.alive()).toEqual([]);
    });

    test('an answer that was lost: the old id is forwarded to the new one, once named', async () => {
      const { browser } = await site.loggedIn();
      const second = site.browser();
      for (const cookie of await browser.jar.getCookies(site.url)) await second.jar.setCookie(cookie, site.url);
      await browser.post('/regenerate');
      expect(await second.user()).toBe('alice');
      expect(await site.id(second)).toBe(await site.id(browser));
      expect(await second.user()).toBe('alice');
      expect((await site.alive()).length).toBe(1);
    });

    test('an app that regenerates in the very request that was forwarded', async () => {
      const { browser, lid, id } = await site.loggedIn();
      const second = site.browser();
      for (const cookie of await browser.jar.getCookies(site.url)) await second.jar.setCookie(cookie, site.url);
      await browser.post('/regenerate');
      const named = await site.id(browser);
      expect((await second.post('/regenerate')).json()).toMatchObject({ user: 'alice' });
      const ids = [id, named, await site.id(second)];
      expect(new Set(ids).size).toBe(3);
      expect(await second.user()).toBe('alice');
      expect(await browser.user()).toBe('alice'); // within the tail
      expect((await site.alive()).length).toBe(1);
      await site.revoke(lid, id);
      for (const each of [browser, second]) expect(await each.user()).toBe('status 303');
      expect(await site.alive()).toEqual([]);
    });

    test('between regenerate and the first save of the new id, requests with the old one are served', async () => {
      const { browser } = await site.loggedIn();
      const running = browser.post('/regenerate-slowly');
      await site.held.arrived(1);
      expect(await Promise.all([browser.user(), browser.user()])).toEqual(['alice', 'alice']);
      site.held.release();
      expect((await running).json().user).toBe('alice');
      expect(await browser.user()).toBe('alice');
      expect((await site.alive()).length).toBe(1);
    });

    test.each(['/sign-in', '/sign-in-later'])(
      'a planted login is not forwarded to whom the app signs in by regenerate alone, nor an alarm: %s',
      async (path) => {
        let now = Date.now();
        const own = await Site.open(framework, {}, { clock: () => now });
        const { browser: mallory, id } = await own.loggedIn('mallory');
        const victim = own.browser();
        for (const cookie of await mallory.jar.getCookies(own.url)) await victim.jar.setCookie(cookie, own.url);
        const running = victim.post(`${path}?user=alice`);
        if (path === '/sign-in-later') {
          await own.held.arrived(1);
          expect(await mallory.user()).not.toBe('alice');
          own.held.release();
        }
        expect((await running).json().user).toBe('alice');
        expect(await own.id(victim)).not.toBe(id);
        expect(await mallory.user()).not.toBe('alice');
        expect(await victim.user()).toBe('alice');
        now += 31_000;
        expect(await mallory.user()).not.toBe('alice');
        expect(await victim.user()).toBe('alice');
        expect(own.log.text()).not.toContain('session_reused');
      },
    );

    test('rotation: the id changes under way, the login and its data go on, and it dies as a whole', async () => {
      let now = Date.now();
      const own = await Site.open(framework, {}, { rotate: { everyRequests: 1 }, clock: () => now });
      const { browser, lid, id } = await own.loggedIn();
      const ids = new Set([id]);
      for (let visits = 1; visits <= 3; visits++) {
        expect((await browser.post('/change')).json()).toEqual({ user: 'alice', visits });
        expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits });
        ids.add(await own.id(browser));
        now += 31_000; // an id that has only just come into use is not changed
      }
      expect(ids.size).toBeGreaterThan(2);
      await own.revoke(lid, id);
      expect(await browser.user()).toBe('status 303');
      expect(await own.alive()).toEqual([]);
    });

    test.each([
      ['as it comes', {}],
      ['with a cookie that lives on', { maxAgeMs: 600_000 }],
      ['where the middleware writes every time', { maxAgeMs: 600_000, eager: true }],
    ])('an old id that comes back long after: its cookie goes, and no other comes, %s', async (_name, app) => {
      let now = Date.now();
      const own = await Site.open(framework, app, { rotate: { everyRequests: 1 }, clock: () => now });
      const { browser, id } = await own.loggedIn();
      const thief = own.browser();
      for (const cookie of await browser.jar.getCookies(own.url)) await thief.jar.setCookie(cookie, own.url);
      for (let i = 0; i < 2; i++) expect(await browser.user()).toBe('alice'); // a new id, and its first use
      now += 60_000;
      const page = await thief.get('/me');
      expect([page.status, page.location?.split('=')[0]]).toEqual([303, '/gotcha?case']);
      const set = page.headers.getSetCookie().map((line) => line.split('=')[0]);
      expect(set.sort()).toEqual(own.sessionNames.flatMap((name) => [name, `${name}.bouncer-held`]).sort());
      expect(await own.cookie(thief)).toBe('');
      expect((await own.redis.get(keysFor(own.prefix).session(sessionHandle(id))))?.includes('"k":"revoked"')).toBe(
        true,
      );
      expect((await browser.get('/me')).status).toBe(303);
    });

    test.each(['/slow-change', '/slow-save', '/slow-regenerate', '/slow-read'])(
      'a request in flight at the revoke cannot bring it back, and its answer is whole: %s',
      async (path) => {
        const { browser, lid, id } = await site.loggedIn();
        const running = browser.post(path);
        await site.held.arrived(1);
        await site.revoke(lid, id);
        site.held.release();
        const page = await running;
        expect(page.status).toBe(200);
        expect(path === '/slow-read' ? page.json().user : String(page.json().text).length).toBe(
          path === '/slow-read' ? 'alice' : 5000,
        );
        expect(await site.alive()).toEqual([]);
        expect([303, 200]).toContain((await browser.get('/me')).status);
        expect(await browser.user()).not.toBe('alice');
        const refused = Object.keys(site.bouncer.stats().refused);
        if (path !== '/slow-read') expect(refused.join()).toMatch(/revoked/);
      },
    );

    test('the login request itself, in flight at the revoke', async () => {
      const browser = site.browser();
      const running = browser.post('/slow-login?user=alice');
      await site.held.arrived(1);
      const { lid } = site.held as unknown as { lid: string };
      await site.revoke(lid, 'an id that nobody has: it goes by the login');
      site.held.release();
      expect((await running).json()).toEqual({ lid });
      expect(await browser.user()).not.toBe('alice');
      expect(await site.alive()).toEqual([]);
    });

    test('twenty parallel requests in flight', async () => {
      const { browser, lid, id } = await site.loggedIn();
      const kinds = ['/slow-change', '/slow-save', '/slow-regenerate', '/slow-read'];
      const running = Array.from({ length: 20 }, (_, i) => browser.post(kinds[i % 4] ?? ''));
      await site.held.arrived(20);
      await site.revoke(lid, id);
      site.held.release();
      const pages = await Promise.all(running);
      expect(pages.map(({ status }) => status)).toEqual(Array(20).fill(200));
      for (const page of pages) expect(Object.keys(page.json()).length).toBeGreaterThan(0);
      expect(await site.alive()).toEqual([]);
      expect(await browser.user()).not.toBe('alice');
    });

    test('a save of a request that was in flight at a logout does not bring it back', async () => {
      const { browser } = await site.loggedIn();
      const cookie = await browser.jar.getCookieString(site.url);
      const running = browser.post('/slow-change');
      await site.held.arrived(1);
      await browser.post('/logout');
      site.held.release();
      expect((await running).status).toBe(200);
      const page = await fetch(`${site.url}/me`, { headers: { cookie } });
      expect([page.status, await page.json()]).toEqual([200, { user: null, visits: 0 }]);
    });

    // koa-session's regenerate keeps the data: there it is no logout.
    if (!framework.name.startsWith('koa')) {
      test('a logout by regenerate(), whose client hangs up before the answer', async () => {
        const { browser } = await site.loggedIn();
        const cookie = await browser.jar.getCookieString(site.url);
        const hangUp = new AbortController();
        const ask = { method: 'POST', headers: { cookie }, signal: hangUp.signal };
        const cut = fetch(`${site.url}/regenerate-abandoned`, ask).catch((error: Error) => error.name);
        await site.held.arrived(1);
        hangUp.abort();
        site.held.release();
        expect(await cut).toBe('AbortError');
        const user = async () => (await fetch(`${site.url}/me`, { headers: { cookie } })).text();
        await until(async () => (await user()).includes('"user":null'));
        expect(await site.alive()).toEqual([]);
      });
    }

    test('a logout in a request that has regenerated', async () => {
      const { browser } = await site.loggedIn();
      expect((await browser.post('/regenerate-and-logout')).json()).toEqual({ bye: true });
      expect(await browser.user()).toBe(null);
      expect(await site.alive()).toEqual([]);
    });

    test('assertNotRevoked: a sensitive handler that the gate had let pass stops', async () => {
      const { browser, lid, id } = await site.loggedIn();
      const fine = browser.post('/sensitive');
      await site.held.arrived(1);
      expect(
        await site.commands(async () => {
          site.held.release();
          await fine;
        }),
      ).toEqual(['get']);
      expect((await fine).json()).toEqual({ done: true });
      const running = browser.post('/sensitive');
      await site.held.arrived(1);
      await site.revoke(lid, id);
      site.held.release();
      const page = await running;
      expect([page.status, page.json()]).toEqual([409, { code: 'session_ended' }]);
    });

    test.each([
      ['as it comes', {}],
      ['with a cookie that lives on', { maxAgeMs: 600_000 }],
      ['where the middleware writes every time', { maxAgeMs: 600_000, eager: true }],
    ])('commands of an established session, %s: one GET to read, one script more to change', async (_name, app) => {
      const own = await Site.open(framework, app);
      const { browser } = await own.loggedIn();
      await browser.post('/change');
      expect(await own.commands(() => site.browser().get('/me'))).toEqual([]);
      const read = await own.commands(() => browser.get('/me'));
      expect(await own.commands(() => browser.post('/change'))).toEqual(['get', 'evalsha']);
      expect(await own.commands(() => browser.post('/regenerate'))).toEqual(['get', 'evalsha']);
      await browser.get('/me'); // its first use
      // resave is what it says; without it nothing is written that has not changed.
      const resaves = (app as AppOptions).eager && framework.name.startsWith('express');
      expect(read).toEqual(resaves ? ['get', 'evalsha'] : ['get']);
    });

    test('the time to live is renewed when a tenth of it has gone', async () => {
      let now = Date.now();
      const own = await Site.open(framework, { maxAgeMs: 100_000, eager: true }, { clock: () => now });
      const { browser } = await own.loggedIn();
      now += 11_000;
      expect(await own.commands(() => browser.get('/me'))).toEqual(['get', 'evalsha']);
      const [key] = await until(async () => {
        // One page of SCAN is not all: other tests keep many thousands of keys there.
        const keys = await own.redis.keys(`${keysFor(own.prefix).session('')}*`);
        return keys.length === 1 && keys;
      });
      expect(await own.redis.pttl(String(key))).toBeGreaterThan(90_000);
    });

    strictIds(() => site);
    outage(framework);
  });
}

function strictIds(site: () => Site): void {
  const id = 'k'.repeat(32);
  const value = (text: string) => {
    const { name } = site().framework;
    return name.startsWith('express')
      ? `s:${text}.c2lnbmF0dXJl`
      : name.startsWith('koa')
        ? text
        : `${text}.c2lnbmF0dXJl`;
  };
  test.each([
    ['empty', () => [''], 'id:empty'],
    ['deleted', () => ['deleted'], 'id:deleted'],
    ['oversized', () => [value('k'.repeat(600))], 'id:oversized'],
    ['of a shape that nobody issues', () => [value('../../etc/passwd%00 and more')], 'id:malformed'],
    ['duplicate', () => [value(id), value('m'.repeat(32))], 'id:duplicate'],
    ['badly signed', () => [value(id)], 'id:bad_signature'],
  ])('a cookie that is %s is refused before Redis, and counted', async (_name, values, counted) => {
    const { cookie: name } = site().framework;
    const cookie = values()
      .map((each) => `${name}=${encodeURIComponent(each)}`)
      .join('; ');
    const commands = await site().commands(async () => {
      const page = await fetch(`${site().url}/me`, { headers: { cookie } });
      expect([page.status, await page.json()]).toEqual([200, { user: null, visits: 0 }]);
    });
    expect(commands).toEqual([]);
    expect(site().bouncer.stats().refused).toEqual({ [counted]: 1 });
  });

  test('an id that was signed by us but never stored is not adopted', async () => {
    const browser = site().browser();
    await browser.post('/change');
    const before = await site().id(browser);
    await site().redis.del(keysFor(site().prefix).session(sessionHandle(before)));
    await browser.post('/change');
    expect(await site().id(browser)).not.toBe(before);
  });
}

function outage(framework: Framework): void {
  test('a logout while the store is away says that it is not done, and is done when the store is back', async () => {
    const server = await privateRedis();
    const own = await Site.open(framework, {}, { redis: server.url, redisTimeoutMs: 300 });
    const { browser, id } = await own.loggedIn();
    const cookie = await browser.jar.getCookieString(own.url);
    server.pause();
    const page = await browser.post('/logout');
    // koa-session ends the session after the handler, which can no longer answer for it.
    if (framework.name.startsWith('koa')) expect(page.status).toBe(503);
    else expect([page.status, page.json()]).toEqual([409, { code: 'session_unavailable' }]);
    server.resume();
    const key = keysFor(own.prefix).session(sessionHandle(id));
    await until(async () => (await own.redis.get(key))?.includes('"k":"logout"'));
    const after = await fetch(`${own.url}/me`, { headers: { cookie } });
    expect([after.status, await after.json()]).toEqual([200, { user: null, visits: 0 }]);
  });

  test('the store is away: 503 where a user is needed, anonymous elsewhere, and back afterwards', async () => {
    const server = await privateRedis();
    const own = await Site.open(
      framework,
      {},
      {
        redis: server.url,
        redisTimeoutMs: 300,
        needsUser: ({ path }) => path === '/change',
      },
    );
    const { browser } = await own.loggedIn();
    server.pause();
    const page = await browser.get('/me');
    expect([page.status, page.json()]).toEqual([200, { user: null, visits: 0 }]);
    const needed = await browser.post('/change');
    expect([needed.status, needed.json()]).toEqual([503, { code: 'session_unavailable' }]);
    expect(needed.headers.get('retry-after')).toBe('5');
    expect(needed.headers.get('cache-control')).toBe('no-store');
    server.resume();
    await until(async () => (await browser.user()) === 'alice');
  });
}
