/** Who may what at the desk. The routes are taken from the application itself: one that is added is held to the same. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { FreshGuard, RoleGuard } from '../../src/console/access.ts';
import { consoleApp, SECURITY_HEADERS } from '../../src/console/app.tsx';
import { NAVIGATION } from '../../src/console/layout.tsx';
import { mountedConsole } from '../../src/console/mounted.ts';
import type { Authorized } from '../../src/desk-ports.ts';
import { openRoom, person, type Room } from '../support/console.ts';
import { memoryDesk } from '../support/desk.ts';
import { addCase, aLogin } from '../support/desk-cases.ts';
import { captureLog } from '../support/index.ts';

interface Route {
  readonly method: string;
  readonly path: string;
  readonly needs: string | null;
  readonly fresh: boolean;
}

/** Of every page: method and path once, with what its guards ask. */
function routes(): Route[] {
  const found = new Map<string, Route>();
  for (const { method, path, handler } of openRoom().app.routes) {
    if (method === 'ALL' || path.startsWith('/assets/')) continue;
    const before = found.get(`${method} ${path}`);
    const { needs, needsFresh } = handler as unknown as Partial<RoleGuard & FreshGuard>;
    found.set(`${method} ${path}`, {
      method,
      path,
      needs: needs ?? before?.needs ?? null,
      fresh: needsFresh === true || before?.fresh === true,
    });
  }
  return [...found.values()];
}

const all = routes();
const writes = all.filter(({ method }) => method !== 'GET');
const reads = all.filter(({ method }) => method === 'GET');

/** The path with something in its place that is there. */
const filled = (path: string, caseId: string) =>
  `${path.replace(/:caseId\b(\{[^}]*\})?/, caseId).replace(/:\w+/g, 'entry-1')}?id=alice&address=81.2.69.142&network=81.2.69.0/24`;
const FIELDS = { user: 'alice', id: 'entry-1', lid: 'lid-1', disposition: 'confirmed', why: 'a test', note: 'a test' };

let room: Room;
let caseId: string;

function state(): string {
  const { acts, cases, live, entries, noted } = room.desk;
  return JSON.stringify([acts, [...cases], [...live], entries, noted]);
}

beforeEach(() => {
  const desk = memoryDesk();
  caseId = addCase(desk).id;
  desk.live.set('alice', [aLogin('lid-1'), aLogin('lid-2')]);
  room = openRoom({}, desk);
});

test('there are routes to hold to it, and each that writes names a role', () => {
  expect(writes.length).toBeGreaterThan(8);
  expect(writes.filter(({ needs }) => needs !== 'analyst' && needs !== 'admin')).toEqual([]);
  expect(all.filter(({ method }) => method !== 'GET' && method !== 'POST')).toEqual([]);
});

test.each(NAVIGATION)('the head line leads to $path, which is there and marked as current', async ({ path }) => {
  expect(reads.map((route) => route.path)).toContain(path);
  const text = await (await room.get(path)).text();
  expect(text).toContain(`<a href="/desk${path}" aria-current="page">`);
});

test('ending sessions, undo, forgetting a user and resetting the brake ask for a fresh proof', () => {
  const grave = writes.filter(({ path }) => /\/end|undo|privacy|brake/.test(path));
  expect(grave.length).toBeGreaterThan(3);
  expect(grave.filter(({ fresh }) => !fresh)).toEqual([]);
});

describe.each(all)('$method $path', ({ method, path, needs, fresh }) => {
  const send = () => {
    const url = filled(path, caseId);
    return method === 'GET' ? room.get(url) : room.post(url, FIELDS);
  };

  test('says 401 to somebody we do not know, and changes nothing', async () => {
    const before = state();
    room.as(null);
    const response = await send();
    expect(response.status).toBe(401);
    expect(await response.text()).not.toContain('alice');
    expect(state()).toBe(before);
  });

  if (method === 'POST') {
    test('says 403 to who may not, and changes nothing', async () => {
      const before = state();
      for (const role of ['viewer', 'analyst'] as const) {
        if (role === needs) break;
        room.as(person(role));
        expect((await send()).status).toBe(403);
      }
      expect(state()).toBe(before);
    });

    test('says 403 without a token, with that of another, and to other sites, and changes nothing', async () => {
      const before = state();
      const url = filled(path, caseId);
      const bad: [Record<string, string>, Record<string, string | null>][] = [
        [{ ...FIELDS, csrf: '' }, {}],
        [{ ...FIELDS, csrf: 'x'.repeat(43) }, {}],
        [FIELDS, { 'sec-fetch-site': 'cross-site' }],
        [FIELDS, { 'sec-fetch-site': 'same-site' }],
        [FIELDS, { 'sec-fetch-site': 'none' }],
        [FIELDS, { 'sec-fetch-site': null, origin: 'https://evil.example' }],
        [FIELDS, { 'sec-fetch-site': null, origin: 'null' }],
        [FIELDS, { 'sec-fetch-site': null, origin: null }],
      ];
      for (const [fields, headers] of bad) expect((await room.post(url, fields, headers)).status).toBe(403);
      expect(state()).toBe(before);
    });

    test('takes no other kind of body, and none that is large', async () => {
      const before = state();
      const url = filled(path, caseId);
      expect((await room.post(url, FIELDS, { 'content-type': 'application/json' })).status).toBe(415);
      expect((await room.post(url, FIELDS, { 'content-type': 'text/plain' })).status).toBe(415);
      expect((await room.post(url, { ...FIELDS, note: 'x'.repeat(70_000) })).status).toBe(413);
      expect(state()).toBe(before);
    });

    if (fresh) {
      test('asks for a fresh proof first, and changes nothing', async () => {
        const before = state();
        room.as(person('admin', { fresh: false }));
        const response = await send();
        expect(response.status).toBe(403);
        expect(state()).toBe(before);
      });
    }
  }
});

describe('reading', () => {
  test('a GET or HEAD of any route, with all the fields of a write, changes nothing', async () => {
    const before = state();
    const query = new URLSearchParams(FIELDS).toString();
    for (const { path } of all) {
      for (const method of ['GET', 'HEAD']) {
        const response = await room.ask(`${filled(path, caseId)}&${query}`, {
          method,
          headers: { accept: 'text/html' },
        });
        expect(response.status).toBeLessThan(500);
      }
    }
    expect(state()).toBe(before);
  });

  test.each(reads)('GET $path is for every role', async ({ path }) => {
    room.as(person('viewer'));
    const response = await room.get(filled(path, caseId));
    expect([200, 303, 404]).toContain(response.status);
  });

  test.each(['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACEX'])('%s is nothing we know', async (method) => {
    const before = state();
    const response = await room.ask(`/incidents/${caseId}`, { method, headers: { 'sec-fetch-site': 'same-origin' } });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(state()).toBe(before);
  });
});

describe('every answer', () => {
  test.each([
    ['a page', '/incidents', 200],
    ['a redirect', '/find?q=alice', 303],
    ['nothing there', '/nowhere', 404],
  ])('%s has the headers of the policy and is not kept', async (_name, path, status) => {
    const response = await room.get(path);
    expect(response.status).toBe(status);
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) expect(response.headers.get(name)).toBe(value);
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  test('so has a refusal and a failure, whose text says nothing of the error', async () => {
    room.as(null);
    const refused = await room.get('/incidents');
    expect(refused.headers.get('content-security-policy')).toBe(SECURITY_HEADERS['Content-Security-Policy']);
    room.as(person('viewer'));
    Object.assign(room.desk, { incidents: () => Promise.reject(new Error('secret of the inside')) });
    const failed = await room.get('/incidents');
    expect([failed.status, failed.headers.get('cache-control')]).toEqual([500, 'no-store']);
    expect((await failed.text()) + room.log.text()).not.toContain('secret of the inside');
    expect(room.log.text()).toContain('console_failed');
  });

  test('says 503 where Redis is away, on a page that does not need it', async () => {
    const away = () => Promise.reject(new Error("Stream isn't writeable and enableOfflineQueue options is false"));
    Object.assign(room.desk, { incidents: away, brake: away });
    const response = await room.get('/incidents');
    expect([response.status, await response.text()]).toEqual([503, expect.stringContaining('Redis cannot be reached')]);
  });

  test('the policy lets nothing inline run, and pages have nothing inline', async () => {
    expect(SECURITY_HEADERS['Content-Security-Policy']).not.toMatch(/unsafe|\*|https?:/);
    for (const { path } of reads) {
      const text = await (await room.get(filled(path, caseId))).text();
      expect(text).not.toMatch(/<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|<style|javascript:/i);
    }
  });
});

describe('assets', () => {
  const links = async () =>
    [...(await (await room.get('/incidents')).text()).matchAll(/(?:href|src)="\/desk(\/assets\/[^"]+)"/g)].map(
      (found) => found[1] ?? '',
    );

  test('are few and small, may be kept for good, and come again as 304', async () => {
    const paths = [...new Set(await links())];
    expect(paths.length).toBeGreaterThanOrEqual(3);
    let size = 0;
    for (const path of paths) {
      const response = await room.ask(path);
      expect([response.status, response.headers.get('cache-control')]).toEqual([
        200,
        expect.stringContaining('immutable'),
      ]);
      size += (await response.arrayBuffer()).byteLength;
      const again = await room.ask(path, { headers: { 'if-none-match': response.headers.get('etag') ?? '' } });
      expect([again.status, await again.text()]).toEqual([304, '']);
    }
    expect(size).toBeLessThan(200_000);
  });

  test('need no role; there are no others', async () => {
    const [path = ''] = await links();
    room.as(null);
    expect((await room.ask(path)).status).toBe(200);
    for (const other of [
      path.replace(/[^/]+$/, '..%2f..%2fapp.tsx'),
      path.replace(/\/\w{16}\//, '/00000000000000zz/'),
      '/assets/x/__proto__',
    ]) {
      expect((await room.ask(other)).status).toBe(404);
    }
  });

  test('that a page of another version names are given as they are here, and not kept', async () => {
    const [path = ''] = await links();
    const [ours, theirs] = [await room.ask(path), await room.ask(path.replace(/\/\w{16}\//, '/0000000000000000/'))];
    expect([theirs.status, theirs.headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(await theirs.text()).toBe(await ours.text());
  });
});

describe('a message for the next page', () => {
  const cookieOf = (response: Response) =>
    response.headers.getSetCookie().find((one) => one.startsWith('desk-said=')) ?? '';

  test('is shown once, as text', async () => {
    const done = await room.post('/user/end?id=alice', FIELDS);
    expect(done.status).toBe(303);
    const cookie = cookieOf(done);
    expect(cookie).toMatch(/HttpOnly/);
    expect(cookie).toMatch(/SameSite=Strict/);
    const shown = await room.get('/incidents', { cookie: cookie.split(';')[0] ?? '' });
    expect(await shown.text()).toContain('class="flash"');
    expect(cookieOf(shown)).toMatch(/Max-Age=0/);
  });

  test('that somebody else wrote is not shown', async () => {
    const forged = `desk-said=${Buffer.from('Call 0800 123').toString('base64url')}.${'x'.repeat(43)}`;
    expect(await (await room.get('/incidents', { cookie: forged })).text()).not.toContain('0800');
  });
});

describe('the app’s word', () => {
  const askedWith = async (said: unknown, clock = () => 1_000_000) => {
    const app = mountedConsole(
      { authorize: () => said as Authorized },
      { desk: memoryDesk(), clock, log: captureLog() },
    );
    return app(new Request('http://desk.example/incidents', { headers: { accept: 'text/html' } }), { base: '/desk' });
  };

  test.each([
    null,
    undefined,
    false,
    true,
    '',
    'root',
    'ADMIN',
    'toString',
    {},
    { role: 'owner' },
    { role: ['admin'] },
    [],
  ])('that is %j is nobody', async (said) => {
    expect((await askedWith(said)).status).toBe(401);
  });

  test.each(['viewer', 'analyst', 'admin', { role: 'viewer', name: 'Vera' }])('that is %j may read', async (said) => {
    const response = await askedWith(said);
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('Incidents')]);
  });

  test.each(['user', ' Brake ', '\uff55ser'])('%j acts as a person, not as what that name stands for', async (name) => {
    const desk = memoryDesk();
    const authorize = () => ({ role: 'analyst', name }) as const;
    const app = mountedConsole({ authorize }, { desk, clock: Date.now, log: captureLog() });
    const page = await app(new Request('http://desk.example/lists'), { base: '' });
    const csrf = /name="csrf" value="([\w-]+)"/.exec(await page.text())?.[1] ?? '';
    const fields = { csrf, kind: 'address', value: '203.0.113.7', list: 'block', for: '7d', why: 'x' };
    const headers = { 'sec-fetch-site': 'same-origin', cookie: page.headers.getSetCookie()[0]?.split(';')[0] ?? '' };
    const sent = { method: 'POST', body: new URLSearchParams(fields), headers };
    expect((await app(new Request('http://desk.example/lists/add', sent), { base: '' })).status).toBe(303);
    expect(desk.entries.map(({ by }) => by)).toEqual([`${name.trim()} (analyst)`]);
  });

  test('may name somebody by a number, as many ids are', async () => {
    const response = await askedWith({ role: 'viewer', name: 4711 });
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('<bdi>4711</bdi>')]);
  });

  test('may say that a proxy ended TLS: its cookie is Secure then, also where this process sees http', async () => {
    const cookieOf = async (secure: boolean | undefined) => {
      const authorize = () => ({ role: 'viewer', name: 'Ada' }) as const;
      const app = mountedConsole({ authorize, secure }, { desk: memoryDesk(), clock: Date.now, log: captureLog() });
      const page = await app(new Request('http://desk.example/incidents'), { base: '', secure: false });
      return page.headers.getSetCookie()[0] ?? '';
    };
    expect(await cookieOf(true)).toMatch(/^__Host-desk-key=.*; Secure/);
    expect(await cookieOf(undefined)).toMatch(/^desk-key=(?!.*Secure)/);
  });

  test('with half a letter in it is the name that Redis gives back', async () => {
    const desk = memoryDesk();
    const authorize = () => ({ role: 'analyst', name: 'Ada \ud800' }) as const;
    const app = mountedConsole({ authorize }, { desk, clock: Date.now, log: captureLog() });
    const page = await app(new Request('http://desk.example/lists'), { base: '' });
    expect(await page.text()).toContain('Ada \ufffd');
  });

  test('that throws opens nothing', async () => {
    const log = captureLog();
    const authorize = () => {
      throw new Error('no session');
    };
    const app = mountedConsole({ authorize }, { desk: memoryDesk(), clock: Date.now, log });
    expect((await app(new Request('http://desk.example/incidents'), { base: '' })).status).toBe(500);
  });

  test('about when a proof was given counts for ten minutes', async () => {
    const desk = memoryDesk();
    desk.live.set('alice', [aLogin('lid-1')]);
    const page = async (provedAtMs: number) => {
      const authorize = () => ({ role: 'admin', name: 'Ada', provedAtMs }) as const;
      const deps = { desk, clock: () => 1_000_000_000, log: captureLog() };
      const app = mountedConsole({ authorize, reauthenticateUrl: '/password?x=1' }, deps);
      const asked = new Request('http://desk.example/user?id=alice', { headers: { accept: 'text/html' } });
      return (await app(asked, { base: '/desk' })).text();
    };
    expect(await page(1_000_000_000 - 599_000)).toContain('action="/desk/user/end?');
    const stale = await page(1_000_000_000 - 601_000);
    expect(stale).not.toContain('action="/desk/user/end?');
    expect(stale).toContain(`href="/password?x=1&amp;back=${encodeURIComponent('/desk/user?id=alice')}"`);
  });

  /** What a page of one user looks like to Ada, who proved herself then, and what the log says of it. */
  async function withProof(provedAtMs: unknown, reauthenticateUrl?: string) {
    const desk = memoryDesk();
    desk.live.set('alice', [aLogin('lid-1')]);
    const log = captureLog();
    const authorize = () => ({ role: 'admin', name: 'Ada', provedAtMs }) as never;
    const app = mountedConsole({ authorize, reauthenticateUrl }, { desk, clock: () => NOW, log });
    const page = async () =>
      (
        await app(new Request('http://desk.example/user?id=alice', { headers: { accept: 'text/html' } }), { base: '' })
      ).text();
    const html = await page();
    await page();
    const times = (event: string) => log.text().split(event).length - 1;
    const warnings = [times('console_proof_unreadable'), times('console_proof_unrenewable')];
    return { mayEnd: html.includes('action="/user/end'), html, warnings };
  }
  const NOW = Date.UTC(2026, 10, 22);

  test.each([
    ['seconds', Math.floor(NOW / 1000)],
    ['microseconds', NOW * 1000],
    ['no number', Number.NaN],
    ['a text', 'yesterday'],
  ])('about a proof in %s counts as none, and the log says so once', async (_, provedAtMs) => {
    expect(await withProof(provedAtMs, '/password')).toMatchObject({ mayEnd: false, warnings: [1, 0] });
  });

  test('about an old proof that cannot be renewed shows no form that would be refused; the log says so once', async () => {
    const { html, ...rest } = await withProof(NOW - 601_000);
    expect(rest).toEqual({ mayEnd: false, warnings: [0, 1] });
    expect(html).toContain('sign in to this site again');
    expect(await withProof(NOW - 1000)).toMatchObject({ mayEnd: true, warnings: [0, 0] });
    expect(await withProof(undefined)).toMatchObject({ mayEnd: true, warnings: [0, 0] });
    expect(await withProof(null, '/password')).toMatchObject({ mayEnd: false, warnings: [0, 0] });
  });

  test('binds forms to a cookie of the console’s own, and to the person', async () => {
    let name = 'Ada';
    const authorize = () => ({ role: 'admin', name }) as const;
    const desk = memoryDesk();
    desk.live.set('alice', [aLogin('lid-1')]);
    const app = mountedConsole({ authorize }, { desk, clock: Date.now, log: captureLog() });
    const first = await app(new Request('http://desk.example/user?id=alice'), { base: '/desk' });
    const cookie = first.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    const csrf = /name="csrf" value="([\w-]+)"/.exec(await first.text())?.[1] ?? '';
    const end = (sent: string) =>
      app(
        new Request('http://desk.example/user/end?id=alice', {
          method: 'POST',
          headers: {
            cookie: sent,
            'sec-fetch-site': 'same-origin',
            'content-type': 'application/x-www-form-urlencoded',
          },
          body: new URLSearchParams({ csrf, lid: 'lid-1', why: 'a test' }),
        }),
        { base: '/desk' },
      );
    expect((await end('')).status).toBe(403);
    expect((await end(`desk-key=${'x'.repeat(43)}`)).status).toBe(403);
    name = 'Bob';
    expect((await end(cookie)).status).toBe(403);
    expect(desk.acts).toEqual([]);
    name = 'Ada';
    expect((await end(cookie)).status).toBe(303);
    expect(desk.acts).toMatchObject([{ what: 'endSession', by: 'Ada' }]);
  });
});

test('the brake’s banner is on every page while it is on', async () => {
  expect(await (await room.get('/incidents')).text()).not.toContain('safety brake');
  const counts = { logins: 400, revokes: 40 };
  const trip = { atMs: Date.UTC(2026, 2, 1), why: 'share', window: counts, day: counts } as const;
  Object.assign(room.desk, { brake: async () => ({ kind: 'tripped', trip }) });
  const text = await (await room.get('/incidents')).text();
  expect(text).toMatch(/role="alert"[\s\S]*safety brake[\s\S]*40 users in 400 logins/);
});

test('without HTML in the request’s Accept, a refusal is one line of text', async () => {
  room.as(null);
  const response = await room.ask('/incidents');
  expect([response.status, response.headers.get('content-type')]).toEqual([401, expect.stringContaining('text/plain')]);
  expect((await response.text()).trim().split('\n')).toHaveLength(1);
});

test('an application is made without asking anything of the desk', () => {
  const never = new Proxy({}, { get: () => expect(true).toBe(false) });
  expect(() =>
    consoleApp({ desk: never as never, clock: Date.now, log: captureLog(), authorize: async () => null }),
  ).not.toThrow();
});
