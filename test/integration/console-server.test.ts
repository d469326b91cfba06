/** The console as a server of its own: who gets in, for how long, and how often one may try. */
import { scryptSync } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { CookieJar } from 'tough-cookie';
import { type ConsoleServer, type ConsoleServerOptions, openConsole } from '../../src/console.ts';
import { redisAudit } from '../../src/redis/audit.ts';
import { keysFor } from '../../src/redis/keys.ts';
import {
  captureLog,
  connect,
  freePort,
  privateRedis,
  release,
  testPrefix,
  testRedisUrl,
  until,
} from '../support/index.ts';

const PASSWORD = 'correct horse battery';
/** Of the lowest cost that is taken: these tests sign in often. */
const SALT = Buffer.alloc(16, 7);
const KEY = scryptSync(PASSWORD, SALT, 32, { N: 2 ** 13, r: 8, p: 1 });
const HASH = `scrypt$13$8$1$${SALT.toString('base64url')}$${KEY.toString('base64url')}`;

interface Opened extends ConsoleServer {
  readonly prefix: string;
  readonly log: ReturnType<typeof captureLog>;
  now: number;
}

async function open(over: Partial<ConsoleServerOptions> = {}): Promise<Opened> {
  const prefix = over.prefix ?? testPrefix();
  const log = captureLog();
  const time = { now: Date.now() };
  const accounts = { anna: `admin:${HASH}`, otto: `viewer:${HASH}` };
  const clock = () => time.now;
  const server = await openConsole({
    redis: testRedisUrl(),
    prefix,
    accounts,
    port: 0,
    trustProxy: ['loopback'],
    log,
    clock,
    ...over,
  });
  release(() => server.close());
  return Object.assign(time, server, { prefix, log });
}

/** A browser: cookies, the headers that browsers send, and forms filled from the page that holds them. */
class Visitor {
  readonly jar = new CookieJar();
  readonly #server: Opened;
  readonly #address: string;

  constructor(server: Opened, address = '81.2.69.142') {
    this.#server = server;
    this.#address = address;
  }

  async ask(path: string, init: RequestInit = {}): Promise<Response> {
    const url = this.#server.url + path;
    const cookie = await this.jar.getCookieString(url);
    const headers = { accept: 'text/html', 'x-forwarded-for': this.#address, cookie, ...(init.headers as object) };
    const response = await fetch(url, { redirect: 'manual', ...init, headers });
    for (const set of response.headers.getSetCookie()) await this.jar.setCookie(set, url);
    return response;
  }

  async submit(from: string, action: string, fields: Readonly<Record<string, string>>): Promise<Response> {
    const page = await (await this.ask(from)).text();
    const csrf = /name="csrf" value="([\w-]+)"/.exec(page)?.[1] ?? '';
    const back = /name="back" value="([^"]*)"/.exec(page)?.[1] ?? '/';
    return this.ask(action, {
      method: 'POST',
      headers: { 'sec-fetch-site': 'same-origin', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ csrf, back, ...fields }).toString(),
    });
  }

  signIn(name = 'anna', password = PASSWORD, from = '/sign-in'): Promise<Response> {
    return this.submit(from, '/sign-in', { name, password });
  }

  async sessionCookie(): Promise<string> {
    const cookies = await this.jar.getCookies(this.#server.url);
    return cookies.find(({ key }) => key === 'desk-sid')?.value ?? '';
  }
}

interface Raw {
  readonly status: number;
  readonly cookies: readonly string[];
  readonly text: string;
}

/** With a Host header of one's own, which `fetch` does not send. */
function raw(port: number, path: string, headers: Record<string, string>, body?: string): Promise<Raw> {
  const form = body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' };
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path,
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...headers, ...form },
      agent: false, // a kept connection might be closed in the moment that it is used again
    };
    const req = httpRequest(options, async (res) => {
      let text = '';
      for await (const chunk of res.setEncoding('utf8')) text += String(chunk);
      resolve({ status: res.statusCode ?? 0, cookies: res.headers['set-cookie'] ?? [], text });
    });
    req.on('error', reject).end(body);
  });
}

const auditOf = (server: Opened) => redisAudit(connect(), keysFor(server.prefix)).list(100);

describe('signing in', () => {
  test('leads to the page one wanted, as who one is, and is noted', async () => {
    const server = await open();
    const anna = new Visitor(server);
    const sent = await anna.ask('/user?id=a%26b');
    expect([sent.status, sent.headers.get('location')]).toEqual([
      303,
      `/sign-in?back=${encodeURIComponent('/user?id=a%26b')}`,
    ]);
    const done = await anna.signIn('anna', PASSWORD, sent.headers.get('location') ?? '');
    expect([done.status, done.headers.get('location')]).toEqual([303, '/user?id=a%26b']);
    const page = await anna.ask('/incidents');
    expect([page.status, await page.text()]).toEqual([200, expect.stringMatching(/anna[\s\S]*admin[\s\S]*Sign out/)]);
    expect(await auditOf(server)).toMatchObject([
      { what: 'sign_in', by: 'anna', why: 'from 81.2.69.142', outcome: 'done' },
    ]);
  });

  test('answers a wrong password and an unknown name alike, and keeps no name that is not ours', async () => {
    const server = await open();
    const bodies = [];
    for (const [name, password] of [
      ['anna', 'wrong password!'],
      ['hunter2', PASSWORD],
      ['__proto__', PASSWORD],
      ['', ''],
    ] as const) {
      const visitor = new Visitor(server);
      const response = await visitor.signIn(name, password);
      expect(response.status).toBe(401);
      bodies.push((await response.text()).replace(/value="[\w-]+"/g, ''));
      expect(await visitor.sessionCookie()).toBe('');
      expect((await visitor.ask('/incidents')).status).toBe(303);
    }
    expect(new Set(bodies).size).toBe(1);
    const audit = await auditOf(server);
    expect(audit).toMatchObject([{ what: 'sign_in_refused', by: 'anna', outcome: 'refused' }]);
    expect(JSON.stringify(audit) + server.log.text()).not.toMatch(/hunter2|wrong password|correct horse/);
  });

  test('begins a session of its own: one that was there before is worth nothing', async () => {
    const server = await open();
    const first = new Visitor(server);
    await first.signIn();
    const before = await first.sessionCookie();
    await first.signIn();
    const after = await first.sessionCookie();
    expect(before).not.toBe('');
    expect(after).not.toBe(before);
    const thief = new Visitor(server);
    await thief.jar.setCookie(`desk-sid=${before}`, server.url);
    expect((await thief.ask('/incidents')).status).toBe(303);
    expect((await first.ask('/incidents')).status).toBe(200);
  });

  test.each([
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    '/\t/evil.example',
    'javascript:alert(1)',
    '/a\r\nSet-Cookie: x=1',
    '',
  ])('goes back to no other place than ours: %j', async (back) => {
    const visitor = new Visitor(await shared());
    const response = await visitor.signIn('anna', PASSWORD, `/sign-in?back=${encodeURIComponent(back)}`);
    expect([response.status, response.headers.get('location')]).toEqual([303, '/']);
  });

  test('needs a form of ours', async () => {
    const server = await open();
    const visitor = new Visitor(server);
    const send = (headers: Record<string, string>) =>
      visitor.ask('/sign-in', {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body: new URLSearchParams({ name: 'anna', password: PASSWORD, csrf: 'x' }).toString(),
      });
    expect((await send({ 'sec-fetch-site': 'same-origin' })).status).toBe(403);
    expect((await send({ 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect(await visitor.sessionCookie()).toBe('');
  });
});

let one: Promise<Opened> | undefined;
/** Limits are high enough for these. */
function shared(): Promise<Opened> {
  one ??= open();
  return one;
}

describe('trying', () => {
  test('is refused after five times for one account from one address, the right password included', async () => {
    const server = await open();
    const visitor = new Visitor(server);
    for (let i = 0; i < 5; i += 1) expect((await visitor.signIn('anna', `wrong password ${i}`)).status).toBe(401);
    const limited = await visitor.signIn();
    expect(limited.status).toBe(429);
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(600);
    expect(await limited.text()).toContain('Too many attempts');
    expect((await new Visitor(server, '90.0.15.20').signIn()).status).toBe(303);
    expect((await visitor.signIn('otto')).status).toBe(303);
  });

  test.each([
    ['behind https without a proxy that is trusted', { publicUrl: 'https://desk.example', trustProxy: [] }, 1],
    ['behind https with one', { publicUrl: 'https://desk.example', trustProxy: ['loopback'] }, 0],
    ['behind https with their number', { publicUrl: 'https://desk.example', trustProxy: 1 }, 0],
    ['for this machine alone', { trustProxy: [] }, 0],
  ] as const)('%s, the start says in the log whether all share one address', async (_, over, warnings) => {
    const server = await open(over);
    expect(server.log.text().split('console_trusts_no_proxy').length - 1).toBe(warnings);
  });

  test('through a proxy that is not trusted is said in the log, once; through one that is, not at all', async () => {
    const said = async (trustProxy: readonly string[]) => {
      const server = await open({ trustProxy });
      await new Visitor(server).signIn('anna', 'wrong');
      await new Visitor(server, '198.51.100.7').signIn('anna', 'wrong');
      return server.log.text().split('console_proxy_untrusted').length - 1;
    };
    expect([await said([]), await said(['10.0.0.0/8']), await said(['loopback'])]).toEqual([1, 1, 0]);
  });

  test('in parallel is counted one by one', async () => {
    const server = await open();
    const tries = Array.from({ length: 12 }, () => new Visitor(server).signIn('anna', 'wrong password!'));
    const statuses = (await Promise.all(tries)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(5);
    expect(statuses.filter((status) => status === 429)).toHaveLength(7);
  });

  test('many accounts from one address is refused too; what is counted ends by itself and holds no name', async () => {
    const server = await open();
    const statuses = [];
    for (let i = 0; i < 32; i += 1) statuses.push((await new Visitor(server).signIn(`guess-${i}`, 'short')).status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(30);
    const redis = connect();
    const keys = await redis.keys(`*${server.prefix}}:attempts:*`);
    expect(keys.length).toBeGreaterThan(30);
    expect(keys.join()).not.toMatch(/guess|81\.2/);
    for (const key of keys) expect(await redis.pttl(key)).toBeGreaterThan(0);
  });

  test('from many addresses of one IPv6 network is trying from one', async () => {
    const server = await open();
    const statuses = [];
    for (let i = 1; i <= 6; i += 1) {
      statuses.push((await new Visitor(server, `2a00:23c4:1::${i}`).signIn('anna', 'wrong password!')).status);
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
  });

  test('again, after the right one, is free', async () => {
    const server = await open();
    const visitor = new Visitor(server);
    for (let round = 0; round < 2; round += 1) {
      for (let i = 0; i < 4; i += 1) await visitor.signIn('anna', 'wrong password!');
      expect((await visitor.signIn()).status).toBe(303);
    }
  });
});

describe('a session', () => {
  test('ends with signing out, which is noted; its cookie is worth nothing then', async () => {
    const server = await open();
    const anna = new Visitor(server);
    await anna.signIn();
    const cookie = await anna.sessionCookie();
    expect((await anna.submit('/incidents', '/sign-out', {})).headers.get('location')).toBe('/sign-in');
    expect((await anna.ask('/incidents')).status).toBe(303);
    const thief = new Visitor(server);
    await thief.jar.setCookie(`desk-sid=${cookie}`, server.url);
    expect((await thief.ask('/incidents')).status).toBe(303);
    expect((await auditOf(server))[0]).toMatchObject({ what: 'sign_out', by: 'anna' });
  });

  test('lives half an hour without a request, and lies in our own store', async () => {
    const server = await open();
    await new Visitor(server).signIn();
    const redis = connect();
    const [key = ''] = await redis.keys(`${server.prefix}-console:session:*`);
    const left = await redis.pttl(key);
    expect(left).toBeGreaterThan(29 * 60_000);
    expect(left).toBeLessThanOrEqual(30 * 60_000);
  });

  test('is asked for the password again after ten minutes, before it ends sessions', async () => {
    const server = await open();
    const anna = new Visitor(server);
    await anna.signIn();
    const end = () => anna.submit('/user?id=alice', '/user/end-all?id=alice', { why: 'a test' });
    expect((await end()).status).toBe(303);
    server.now += 11 * 60_000;
    const refused = await end();
    expect(refused.status).toBe(403);
    const page = await (await anna.ask('/user?id=alice')).text();
    const link = /href="(\/confirm\?back=[^"]+)"/.exec(page)?.[1] ?? '';
    expect(link).toBe(`/confirm?back=${encodeURIComponent('/user?id=alice')}`);
    expect((await anna.submit(link, '/confirm', { password: 'wrong password!' })).status).toBe(401);
    expect((await end()).status).toBe(403);
    const confirmed = await anna.submit(link, '/confirm', { password: PASSWORD });
    expect([confirmed.status, confirmed.headers.get('location')]).toEqual([303, '/user?id=alice']);
    expect((await end()).status).toBe(303);
  });

  test('of an account that is gone or has changed is over; of one that has not, goes on in another process', async () => {
    const prefix = testPrefix();
    const first = await open({ prefix });
    const [anna, otto] = [new Visitor(first), new Visitor(first)];
    await anna.signIn();
    await otto.signIn('otto');
    const ask = async (server: Opened, visitor: Visitor) => {
      const other = new Visitor(server);
      await other.jar.setCookie(`desk-sid=${await visitor.sessionCookie()}`, server.url);
      return (await other.ask('/incidents')).status;
    };
    expect(await ask(await open({ prefix }), anna)).toBe(200);
    const changed = await open({ prefix, accounts: { anna: `viewer:${HASH}` } });
    expect(await ask(changed, anna)).toBe(303);
    expect(await ask(changed, otto)).toBe(303);
  });

  test('has a cookie that scripts cannot read; behind https only this host gets it, over TLS', async () => {
    const anna = new Visitor(await shared());
    const plain = await anna.signIn();
    expect(plain.headers.getSetCookie().find((set) => set.startsWith('desk-sid='))).toMatch(/HttpOnly.*SameSite=Lax/i);
    const port = await freePort();
    const secure = await open({ publicUrl: 'https://desk.example', port });
    expect(secure.url).toBe('https://desk.example');
    const ask = (path: string, cookie: string, body?: string) =>
      raw(port, path, { host: 'desk.example', accept: 'text/html', cookie, origin: 'https://desk.example' }, body);
    const page = await ask('/sign-in', '');
    const key = page.cookies[0] ?? '';
    expect(key).toMatch(/^__Host-desk-key=.*HttpOnly.*Secure.*SameSite=Strict/);
    const csrf = /name="csrf" value="([\w-]+)"/.exec(page.text)?.[1] ?? '';
    const form = new URLSearchParams({ csrf, name: 'anna', password: PASSWORD }).toString();
    const done = await ask('/sign-in', key.split(';')[0] ?? '', form);
    expect(done.status).toBe(303);
    expect(done.cookies.join('\n')).toMatch(/^__Host-desk-sid=.*Path=\/; HttpOnly; Secure/im);
  });

  test('never has its id on a page, in the audit or in the log', async () => {
    const server = await open();
    const anna = new Visitor(server);
    await anna.signIn();
    const id = decodeURIComponent(await anna.sessionCookie()).split('.')[0] ?? '';
    expect(id.length).toBeGreaterThan(20);
    const pages = await Promise.all(
      ['/incidents', '/user?id=alice', '/confirm'].map(async (path) => (await anna.ask(path)).text()),
    );
    const text = pages.join() + JSON.stringify(await auditOf(server)) + server.log.text();
    expect(text).toContain('anna');
    expect(text).not.toContain(id);
  });
});

describe('while Redis is away', () => {
  test('pages say so, nobody is sent to sign in, and it goes on afterwards', async () => {
    const redis = await privateRedis();
    const server = await open({ redis: redis.url });
    const anna = new Visitor(server);
    await anna.signIn();
    redis.pause();
    const away = await anna.ask('/incidents');
    expect([away.status, await away.text()]).toEqual([503, expect.stringContaining('Redis cannot be reached')]);
    expect(away.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(away.headers.get('retry-after')).toBe('5');
    redis.resume();
    expect(await until(async () => (await anna.ask('/incidents')).status === 200, { timeoutMs: 15_000 })).toBe(true);
  });
});

test('where Redis takes nothing more, a write says so, and pages can be read', async () => {
  const redis = await privateRedis();
  const admin = connect(redis.url);
  const server = await open({ redis: redis.url });
  const anna = new Visitor(server);
  await anna.signIn();
  const add = () =>
    anna.submit('/lists', '/lists/add', {
      list: 'block',
      kind: 'address',
      value: '198.51.100.77',
      why: 'x',
      for: '1h',
    });
  await admin.config('SET', 'maxmemory', '1');
  const refused = await add();
  expect([refused.status, await refused.text()]).toEqual([503, expect.stringContaining('Redis refuses')]);
  expect(await (await anna.ask('/lists')).text()).not.toContain('198.51.100.77');
  await admin.config('SET', 'maxmemory', '0');
  expect((await add()).status).toBe(303);
  expect(await (await anna.ask('/lists')).text()).toContain('198.51.100.77');
});

describe('the name it is asked by', () => {
  const status = async (server: ConsoleServer, host: string) =>
    (await raw(Number(new URL(server.url).port), '/sign-in', { host })).status;

  test('is this machine’s, with its port', async () => {
    const server = await shared();
    const { port } = new URL(server.url);
    for (const host of ['localhost', '127.0.0.1', '[::1]', 'LOCALHOST'])
      expect(await status(server, `${host}:${port}`)).toBe(200);
    for (const host of [
      `evil.example:${port}`,
      'localhost',
      `localhost.evil.example:${port}`,
      `127.0.0.1.nip.example:${port}`,
    ]) {
      expect(await status(server, host)).toBe(421);
    }
  });
});

describe('is not opened', () => {
  const refused = (over: Partial<ConsoleServerOptions>) => expect(open(over)).rejects;
  const invalid = (message: RegExp) =>
    expect.objectContaining({ code: 'config_invalid', message: expect.stringMatching(message) });

  test('without an account', async () => {
    await refused({ accounts: {} }).toEqual(invalid(/hash-password/));
  });

  test.each([
    ['an unknown role', 'root:scrypt'],
    ['no role', ''],
    ['a password in plain text', 'admin:correct horse battery'],
    [
      'a hash that costs too little',
      'admin:scrypt$04$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    ],
    [
      'a hash that costs too much',
      'admin:scrypt$24$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    ],
  ])('with %s, which is not quoted', async (_name, text) => {
    await refused({ accounts: { anna: text } }).toEqual(invalid(/^consoleAccounts: (?!.*correct horse)/));
  });

  test.each(['0.0.0.0', '::', '192.0.2.1', 'desk.example'])(
    'to others at %s without the URL that they open',
    async (host) => {
      await refused({ host }).toEqual(invalid(/consoleUrl/));
    },
  );

  test.each(['http://desk.example', 'https://desk.example/path', 'desk.example', 'ftp://desk.example'])(
    'as %s',
    async (publicUrl) => {
      await refused({ publicUrl }).toEqual(invalid(/consoleUrl/));
    },
  );

  test('without a Redis', async () => {
    const wrong = { code: 'option_invalid', message: expect.stringMatching(/^redis: give/) };
    await refused({ redis: undefined as never }).toMatchObject(wrong);
  });

  test('on a port that is taken', async () => {
    const { port } = new URL((await shared()).url);
    await refused({ port: Number(port) }).toEqual(invalid(/consolePort/));
  });

  test.each<[string, object, RegExp]>([
    ['a port that is too high', { port: 70_000 }, /^consolePort: /],
    ['a port below 0', { port: -1 }, /^consolePort: /],
    ['a port that is no number', { port: '3900x' }, /^consolePort: /],
    ['no host', { host: '' }, /^consoleHost: /],
    ['a host of another type', { host: 7, publicUrl: 'https://desk.example' }, /^consoleHost: /],
    ['a host that nobody knows', { host: 'no.such.host.invalid', publicUrl: 'https://desk.example' }, /^consoleHost: /],
    ["somebody else's address", { host: '192.0.2.1', publicUrl: 'https://desk.example' }, /^consoleHost: /],
    ['no accounts', { accounts: null }, /^consoleAccounts: /],
    ['an account that is no text', { accounts: { anna: 7 } }, /^consoleAccounts: /],
  ])('with %s', async (_name, over, message) => {
    await refused(over as Partial<ConsoleServerOptions>).toEqual(invalid(message));
  });
});
