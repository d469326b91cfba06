import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { caseNumber, isCaseNumber } from '../../src/domain/case-number.ts';
import { judgeRevoked, loginPath, openPath, type RequestView } from '../../src/domain/gate.ts';
import { escapeHtml, GOTCHA_HEADERS, gotchaPage } from '../../src/web/gotcha.ts';

const RULES = { gotchaPath: '/gotcha', openPaths: ['/login', '/static/'] };
const HTML = 'text/html,application/xhtml+xml,*/*;q=0.8';
const request = (more: Partial<RequestView>): RequestView => ({
  method: 'GET',
  path: '/account',
  accept: HTML,
  requestedWith: '',
  ...more,
});

describe('what a revoked session may still ask for', () => {
  test.each([
    ['a page', {}, 'page'],
    ['a form sent by a page', { method: 'POST' }, 'page'],
    ['XHR', { requestedWith: 'XMLHttpRequest' }, 'api'],
    ['JSON', { accept: 'application/json' }, 'api'],
    ['fetch without an Accept header of its own', { accept: '*/*' }, 'api'],
    ['no Accept header', { accept: '' }, 'api'],
    ['the gotcha page', { path: '/gotcha' }, 'pass'],
    ['the login page', { path: '/login' }, 'pass'],
    ['below the login page', { path: '/login/admin' }, 'page'],
    ['static files', { path: '/static/app.css' }, 'pass'],
    ['a path that only begins alike', { path: '/staticky' }, 'page'],
    ['another spelling of an open path', { path: '/LOGIN' }, 'page'],
    ['an encoded open path', { path: '/%6cogin' }, 'page'],
    ['the login page with a slash at its end', { path: '/login/' }, 'pass'],
    ['an open folder without its slash', { path: '/static' }, 'pass'],
    ['another spelling of an open folder', { path: '/STATIC/app.css' }, 'page'],
    ['the home page', { path: '/' }, 'page'],
  ] as const)('%s', (_name, more, verdict) => {
    expect(judgeRevoked(request(more), RULES)).toBe(verdict);
  });
});

describe('open paths as an operator writes them', () => {
  const RULES_OF = (loginUrl: string, ...open: string[]) => ({
    gotchaPath: '/gotcha',
    openPaths: [loginPath(loginUrl), ...open.map(openPath)],
  });

  test.each([
    ['a login page with a query', RULES_OF('/login?from=bounce'), '/login', 'pass'],
    ['nothing below it', RULES_OF('/login/'), '/login/admin', 'page'],
    ['and itself with its slash', RULES_OF('/login/'), '/login/', 'pass'],
    ['an open path with a query', RULES_OF('/login', '/help?tab=1#top'), '/help', 'pass'],
    ['the home page as login page', RULES_OF('/'), '/', 'pass'],
    ['opens nothing else', RULES_OF('/'), '/account', 'page'],
    ['nor does it as an open path', RULES_OF('/login', '/'), '/account', 'page'],
    ['a login page elsewhere', RULES_OF('https://id.example/login'), '/login', 'page'],
  ] as const)('%s', (_name, rules, path, verdict) => {
    expect(judgeRevoked(request({ path }), rules)).toBe(verdict);
  });
});

describe('case numbers', () => {
  test('have 60 bits of the hash, in letters that can be read out', () => {
    expect(caseNumber(new Uint8Array(8))).toBe('0000-0000-0000');
    expect(caseNumber(new Uint8Array(8).fill(255))).toBe('ZZZZ-ZZZZ-ZZZZ');
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), (hash) => {
        const number = caseNumber(hash);
        const bits = [...number.replaceAll('-', '')].map((letter) =>
          '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(letter).toString(2).padStart(5, '0'),
        );
        const expected = [...hash].map((byte) => byte.toString(2).padStart(8, '0'));
        expect(bits.join('')).toBe(expected.join('').slice(0, 60));
        expect(isCaseNumber(number)).toBe(true);
      }),
    );
  });

  test.each([null, 7, '', 'AAAA-BBBB', 'aaaa-bbbb-cccc', 'AAAA-BBBB-CCCI', '<script>', 'AAAA-BBBB-CCCC\n'])(
    '%j is none',
    (text) => {
      expect(isCaseNumber(text)).toBe(false);
    },
  );
});

describe('the gotcha page', () => {
  test('shows the case number and the way back, and tells nothing else', () => {
    const html = gotchaPage({ caseNumber: 'K7QX-2M9F-4T8A', loginUrl: '/login?next="><script>' });
    expect(html).toContain('K7QX-2M9F-4T8A');
    expect(html).toContain('href="/login?next=&#34;&#62;&#60;script&#62;"');
    expect(html).not.toMatch(/<script|country|address|stolen|suspicio/i);
  });

  test('may load, run, frame and send nothing', () => {
    expect(GOTCHA_HEADERS['Cache-Control']).toBe('no-store');
    expect(GOTCHA_HEADERS['Content-Security-Policy']).toMatch(/default-src 'none'; style-src 'sha256-[\w+/]{43}='/);
  });

  test('escaping leaves no markup', () => {
    expect(escapeHtml(`<a href='x' title="y">&`)).toBe('&#60;a href=&#39;x&#39; title=&#34;y&#34;&#62;&#38;');
  });
});
