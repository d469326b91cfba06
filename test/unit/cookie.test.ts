/** The clear must take away what the set has put there, by a browser's rules: tough-cookie, prefixes enforced. */
import { describe, expect, test } from '@jest/globals';
import expressSession from 'express-session';
import { CookieJar } from 'tough-cookie';
import { type CookieAttributes, clearCookie, setCookie } from '../../src/web/cookie.ts';
import { cookieNameOf, ID_PATTERN, screenCookie, withoutCookie } from '../../src/web/strict-id.ts';

/** As it is; its types leave out what the middleware itself uses. */
const StockCookie = expressSession.Cookie as unknown as new (
  options: object,
) => CookieAttributes & { serialize(name: string, value: string): string };

const URL_HERE = 'https://shop.example.com/account/orders';
const ID = 's:abc.def';

const names = ['sid', '__Host-sid', '__Secure-sid'];
const domains = [undefined, 'example.com', '.example.com'];
const paths = [undefined, '/', '/account'];
const ages = [null, 600_000];
const sites = [undefined, true, 'lax', 'none', 'strict'];

/** All that a browser would accept in the first place. */
function combinations(): [string, string, CookieAttributes, number | null][] {
  const found: [string, string, CookieAttributes, number | null][] = [];
  for (const name of names)
    for (const domain of domains)
      for (const path of paths)
        for (const sameSite of sites)
          for (const partitioned of [false, true])
            for (const age of ages) {
              const secure = name !== 'sid' || sameSite === 'none' || partitioned;
              if (name === '__Host-sid' && (domain !== undefined || path === '/account')) continue;
              const attributes = { domain, path, sameSite, partitioned, secure };
              found.push([JSON.stringify([name, attributes, age]), name, attributes, age]);
            }
  return found;
}

function jar(): CookieJar {
  return new CookieJar(undefined, { prefixSecurity: 'strict', rejectPublicSuffixes: true });
}

async function put(into: CookieJar, cookie: string): Promise<number> {
  await into.setCookie(cookie, URL_HERE);
  return (await into.getCookies(URL_HERE)).length;
}

describe('setting and clearing the session cookie', () => {
  test('covers every combination of name, Domain, Path, SameSite, Partitioned and maxAge', () => {
    expect(combinations()).toHaveLength(2 * 3 * 3 * 5 * 2 * 2 + 1 * 2 * 5 * 2 * 2);
  });

  test.each(combinations())('%s', async (_text, name, attributes, age) => {
    const ours = jar();
    expect(await put(ours, setCookie(name, encodeURIComponent(ID), attributes, age))).toBe(1);
    expect(await put(ours, clearCookie(name, attributes))).toBe(0);
    // And what express-session itself sets, whose clear is ours.
    const stock = jar();
    const given = { ...attributes, path: attributes.path ?? '/', ...(age === null ? {} : { maxAge: age }) };
    const cookie = new StockCookie(given);
    expect(await put(stock, cookie.serialize(name, ID))).toBe(1);
    expect(await put(stock, clearCookie(name, cookie))).toBe(0);
  });

  test('attributes of the set and of the clear are the same', () => {
    const attributes = { domain: 'example.com', path: '/account', sameSite: 'lax', partitioned: true, secure: true };
    const kept = (cookie: string) => cookie.split('; ').filter((part) => !/^(sid=|Max-Age|Expires)/.test(part));
    expect(kept(clearCookie('sid', attributes))).toEqual(kept(setCookie('sid', 'x', attributes, 1000)));
  });

  test('a name with a prefix gets what the prefix demands, whatever was said', () => {
    const given = { domain: 'example.com', path: '/account', secure: false };
    expect(setCookie('__Host-sid', 'x', given, null)).toBe('__Host-sid=x; Path=/; HttpOnly; Secure');
    expect(clearCookie('__Secure-sid', { secure: false })).toContain('; Secure');
  });
});

describe('strict ids', () => {
  const id = 'a'.repeat(32);
  const screen = (header: string) => screenCookie(header, 'sid', ID_PATTERN, (value) => value.split('.')[0] ?? null);

  test.each([
    ['', { kind: 'none' }],
    ['other=x; sidx=y', { kind: 'none' }],
    [`sid=${id}.sig`, { kind: 'id', id }],
    [`a=b; sid="${id}.sig"; c=d`, { kind: 'id', id }],
    [`sid=${id}.sig; sid=${id}.sig`, { kind: 'id', id }],
    ['sid=', { kind: 'refused', problem: 'empty' }],
    ['sid=""', { kind: 'refused', problem: 'empty' }],
    ['sid=deleted', { kind: 'refused', problem: 'deleted' }],
    [`sid=${id}.a; sid=${id}.b`, { kind: 'refused', problem: 'duplicate' }],
    [`sid=${'a'.repeat(9000)}`, { kind: 'refused', problem: 'oversized' }],
    [`sid=${'a'.repeat(513)}`, { kind: 'refused', problem: 'oversized' }],
    ['sid=short.sig', { kind: 'refused', problem: 'malformed' }],
    [`sid=${id}%00.sig`, { kind: 'refused', problem: 'malformed' }],
    [`sid=${id}%E0%A4%A.sig`, { kind: 'refused', problem: 'malformed' }],
  ])('%.60s', (header, expected) => {
    expect(screen(header)).toEqual(expected);
  });

  test.each([
    ['express-session', 'J_4Rk3Yt-cqPZ6mGvLx0s1uW2nBhQeTf'],
    ['@fastify/session', 'wQ8VYt-cqPZ6mGvLx0s1uW2nBhQeTf_4'],
    ['a UUID', '3f2504e0-4f89-41d3-9a0c-0305e82c3301'],
    ['hexadecimal', '9f86d081884c7d659a2feaa0c55ad015'],
  ])('ids of %s are of a known shape', (_name, known) => {
    expect(ID_PATTERN.test(known)).toBe(true);
  });

  test('what is refused is taken out of the header, and nothing else', () => {
    expect(withoutCookie('a=1; sid=x; b=2; sid=y; sidx=3', 'sid')).toBe('a=1; b=2; sidx=3');
    expect(cookieNameOf(`a=1; my.sid=s%3A${id}.x`, id)).toBe('my.sid');
    expect(cookieNameOf('a=1', id)).toBe(null);
  });
});
