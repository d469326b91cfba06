/** What is mounted gets each request whole, and its answer arrives whole, in every framework. */
import { connect as connectSocket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { type MountEnv, mountable } from '../../src/web/mount.ts';
import { captureLog, release, until } from '../support/index.ts';
import { MOUNTS } from './mounts/servers.ts';

interface Echo {
  readonly method: string;
  readonly target: string;
  readonly base: string;
  readonly host: string | null;
  readonly body: string;
  readonly native: boolean;
}

const seen = { cancelled: 0, aborted: 0 };

async function echo(request: Request, env: MountEnv): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  if (pathname === '/cookies') {
    const headers = new Headers([
      ['set-cookie', 'a=1; Path=/'],
      ['set-cookie', 'b=2; Path=/'],
      ['location', '/desk/next'],
    ]);
    return new Response(null, { status: 303, headers });
  }
  if (pathname === '/fails') throw new Error('on purpose');
  if (pathname === '/endless') return endless(request);
  if (pathname === '/breaks') return breaking();
  const body = request.method === 'GET' || request.method === 'HEAD' ? '' : await request.text();
  const native = typeof env.native === 'object' && env.native !== null;
  const host = request.headers.get('host');
  const said: Echo = { method: request.method, target: pathname + search, base: env.base, host, body, native };
  const headers = { 'content-type': 'application/json', 'x-own': 'yes', etag: '"1"' };
  return new Response(request.method === 'HEAD' ? null : JSON.stringify(said), { headers });
}

/** An export that goes on until its reader goes away. */
function endless(request: Request): Response {
  request.signal.addEventListener('abort', () => {
    seen.aborted += 1;
  });
  const chunk = new Uint8Array(16_384);
  const body = new ReadableStream({
    async pull(controller) {
      controller.enqueue(chunk);
      await new Promise((resolve) => setTimeout(resolve, 1));
    },
    cancel() {
      seen.cancelled += 1;
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/plain' } });
}

/** An export that cannot go on. */
function breaking(): Response {
  let pieces = 0;
  const body = new ReadableStream({
    async pull(controller) {
      pieces += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (pieces < 3) controller.enqueue(new TextEncoder().encode(`piece ${pieces}\n`));
      else controller.error(new Error('on purpose'));
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/plain' } });
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

describe.each(MOUNTS)('$name', ({ open, name }) => {
  const start = () => open(mountable(async () => echo, captureLog()));

  test('gives the path below the mount, the query, the host and the app’s own request', async () => {
    const url = await start();
    const ask = async (path: string) => (await (await fetch(url + path)).json()) as Echo;
    expect(await ask('/desk/user?id=a%2Fb%20c&x=%26')).toMatchObject({
      method: 'GET',
      target: '/user?id=a%2Fb%20c&x=%26',
      base: '/desk',
      host: url.slice('http://'.length),
      native: true,
    });
    expect((await ask('/desk')).target).toBe('/');
    expect((await ask('/desk/')).target).toBe('/');
    expect((await ask('/desk?x=1')).target).toBe('/?x=1');
    expect((await ask('/desk/a%20b/%2e%2e%2fc')).target).toBe('/a%20b/%2e%2e%2fc');
  });

  test('leaves the app’s other routes alone', async () => {
    const url = await start();
    expect(await (await fetch(`${url}/own`)).text()).toBe('own');
    expect((await fetch(`${url}/desks`)).status).toBe(404);
  });

  test('gives the form whole, repeated fields and a long list included', async () => {
    const url = await start();
    const fields = new URLSearchParams({ csrf: 'abc', note: 'a & b = ü\n2' });
    const many = name === 'fastify 5 behind a parser' ? 1 : 60;
    for (let i = 0; i < many; i += 1) fields.append('case', `K7QX-${i}`);
    const response = await fetch(`${url}/desk/answer`, { method: 'POST', headers: FORM, body: fields });
    const { method, body } = (await response.json()) as Echo;
    expect(method).toBe('POST');
    const got = new URLSearchParams(body);
    expect(got.get('note')).toBe('a & b = ü\n2');
    expect(got.getAll('case').sort()).toEqual(fields.getAll('case').sort());
  });

  test('gives an empty body, and one without a type', async () => {
    const url = await start();
    const send = async (init: RequestInit) =>
      ((await (await fetch(`${url}/desk/x`, { method: 'POST', ...init })).json()) as Echo).body;
    expect(await send({})).toBe('');
    expect(await send({ headers: FORM, body: '' })).toBe('');
  });

  test('keeps status, every cookie and the other headers; HEAD has no body', async () => {
    const url = await start();
    const response = await fetch(`${url}/desk/cookies`, { redirect: 'manual' });
    expect(response.status).toBe(303);
    expect(response.headers.get('location')).toBe('/desk/next');
    const cookies = response.headers.getSetCookie();
    expect(cookies).toEqual(expect.arrayContaining(['a=1; Path=/', 'b=2; Path=/']));
    if (name !== 'node') expect(cookies).toContain('app=1');
    const head = await fetch(`${url}/desk/x`, { method: 'HEAD' });
    expect([head.status, head.headers.get('x-own'), await head.text()]).toEqual([200, 'yes', '']);
  });

  test('answers what fails with 500, without its text', async () => {
    const url = await start();
    const response = await fetch(`${url}/desk/fails`);
    expect(response.status).toBe(500);
    if (!name.startsWith('express') && !name.startsWith('fastify'))
      expect(await response.text()).not.toContain('purpose');
  });

  test('an answer that breaks off half-way does not look like a whole one', async () => {
    const url = await start();
    const whole = async () => (await fetch(`${url}/desk/breaks`)).text();
    await expect(whole()).rejects.toThrow();
  });

  test('stops an answer whose reader has gone', async () => {
    const url = await start();
    const before = seen.cancelled;
    const stop = new AbortController();
    const response = await fetch(`${url}/desk/endless`, { signal: stop.signal });
    await response.body?.getReader().read();
    stop.abort();
    expect(await until(() => seen.cancelled > before)).toBe(true);
  });
});

describe('bare Node', () => {
  const url = async () => (MOUNTS[0]?.open(mountable(async () => echo, captureLog())) ?? '') as Promise<string>;

  /** Text as no client library would send it. */
  async function raw(text: string): Promise<string> {
    const { hostname, port } = new URL(await url());
    const socket = connectSocket(Number(port), hostname);
    release(() => socket.destroy());
    socket.end(text);
    let said = '';
    for await (const chunk of socket) said += String(chunk);
    return said;
  }

  test('a path that looks like a host stays a path', async () => {
    const said = await raw('GET /desk//evil.example/x HTTP/1.1\r\nHost: good.example\r\nConnection: close\r\n\r\n');
    expect(said).toContain('"target":"//evil.example/x"');
    expect(said).toContain('"host":"good.example"');
  });

  test('a whole URL as the target counts as its path', async () => {
    const said = await raw(
      'GET http://evil.example/desk/x HTTP/1.1\r\nHost: good.example\r\nConnection: close\r\n\r\n',
    );
    expect(said).toContain('"target":"/x"');
  });

  test.each(['a b', 'a/b', 'a@b', 'a?b', ''])('refuses the host %j', async (host) => {
    const said = await raw(`GET /desk/x HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    expect(said).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('does not read a body without end', async () => {
    const large = await fetch(`${await url()}/desk/x`, {
      method: 'POST',
      headers: FORM,
      body: 'a='.padEnd(200_000, 'x'),
    });
    expect(large.status).toBe(413);
  });
});

test('loads at the first request, once; and again where that failed', async () => {
  let loads = 0;
  const mounted = mountable(async () => {
    loads += 1;
    if (loads === 1) throw new Error('away');
    return echo;
  }, captureLog());
  expect(loads).toBe(0);
  await expect(mounted.fetch(new Request('http://a.example/'))).rejects.toThrow('away');
  const answers = [1, 2, 3].map(() => mounted.fetch(new Request('http://a.example/')));
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(loads).toBe(2);
});

test.each(['console', '//evil.example', '/a b', '/a?b', 'http://a.example'])('cannot be mounted at %j', (base) => {
  const mounted = mountable(async () => echo, captureLog());
  expect(() => mounted.node(base)).toThrow(expect.objectContaining({ code: 'option_invalid' }));
});
