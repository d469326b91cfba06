import { describe, expect, test } from '@jest/globals';
import { deviceWords, placeWords, timeWords } from '../../src/domain/plain-words.ts';
import { mailContext, questionMail } from '../../src/notify-mail.ts';
import { linkTag, readLink, signLink, tokenHash } from '../../src/web/user-link.ts';
import { recordOf } from '../support/incident.ts';

const SECRET = 'a'.repeat(32);
const OTHER = 'b'.repeat(32);
const LINK = { caseId: 'K7QX-2M9F-4T8A', userTag: linkTag('alice'), expiresAtMs: 1_800_000_000_000 };

describe('a link to a user', () => {
  const token = signLink(LINK, SECRET);

  test('is read by who has the secret, also an old one, and by nobody else', () => {
    expect(readLink(token, [SECRET])).toEqual(LINK);
    expect(readLink(token, [OTHER, SECRET])).toEqual(LINK);
    expect(readLink(token, [OTHER])).toBeNull();
    expect(readLink(token, [])).toBeNull();
  });

  test('is the same each time it is made, and safe in a query', () => {
    expect(signLink(LINK, SECRET)).toBe(token);
    expect(encodeURIComponent(token)).toBe(token);
    expect(new URLSearchParams(`t=${token}`).get('t')).toBe(token);
  });

  test('no letter of it can be changed, added or left out', () => {
    for (let i = 0; i < token.length; i++) {
      const other = token[i] === '2' ? '3' : '2';
      expect(readLink(token.slice(0, i) + other + token.slice(i + 1), [SECRET])).toBeNull();
      expect(readLink(token.slice(0, i) + token.slice(i + 1), [SECRET])).toBeNull();
    }
    for (const text of ['', '.', '...', `${token}x`, `x${token}`, `${token}\n`, 'é'.repeat(90), token.repeat(50)]) {
      expect(readLink(text, [SECRET])).toBeNull();
    }
  });

  test('another case, user or expiry has another signature; its hash tells nothing of it', () => {
    const others = [
      { ...LINK, caseId: 'K7QX-2M9F-4T8B' },
      { ...LINK, userTag: linkTag('bob') },
      { ...LINK, expiresAtMs: LINK.expiresAtMs + 1000 },
    ].map((link) => signLink(link, SECRET));
    expect(new Set([token, ...others].map((one) => one.slice(-43))).size).toBe(4);
    expect(new Set([token, ...others].map(tokenHash)).size).toBe(4);
    expect(token).not.toContain(tokenHash(token));
  });
});

describe('plain words', () => {
  test.each([
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox on Windows'],
    [
      'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0 Safari/537.36 Edg/138.0',
      'Edge on Windows',
    ],
    [
      'Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0 Mobile Safari/537.36',
      'Chrome on Android',
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/18.0 Mobile/1 Safari/604.1',
      'Safari on iOS',
    ],
    ['Your account is locked, call +1 555 0100 (Windows NT)', 'a device with Windows'],
    ['curl/8.0', 'an unknown device'],
    [undefined, 'an unknown device'],
  ])('%s', (agent, words) => {
    expect(deviceWords(agent)).toBe(words);
  });

  test('places and times', () => {
    expect(placeWords(['NG'])).toBe('Nigeria');
    expect(placeWords(['GB', 'US'])).toBe('United Kingdom or United States');
    expect(placeWords([])).toBe('a place we could not determine');
    expect(placeWords(['<b>'])).toBe('a place we could not determine');
    expect(timeWords(Date.UTC(2026, 10, 2, 8, 3))).toBe('2 November 2026, 08:03 UTC');
  });
});

describe('the mail', () => {
  const link = `https://shop.example/was-this-you?t=${signLink(LINK, SECRET)}`;

  test('says the same as text and as HTML, with one link and nothing from elsewhere', () => {
    const { subject, text, html } = questionMail(mailContext(recordOf('alice'), link, LINK.expiresAtMs));
    for (const words of ['Nigeria', 'Firefox on Windows', 'shop.example', 'changes nothing', 'ended that session']) {
      expect(text).toContain(words);
      expect(html).toContain(words);
    }
    expect(subject).not.toMatch(/[\r\n]/);
    expect(html.match(/https?:/g)).toHaveLength(1);
    expect(html).toMatch(/<html lang="en">.*<title>/s);
    expect(text).not.toContain('<');
  });

  test('does not say that a session has ended that has not', () => {
    const flagged = recordOf('alice', { action: 'flag', outcome: 'none' });
    expect(questionMail(mailContext(flagged, link, LINK.expiresAtMs)).text).toContain('have not ended');
  });

  test.each([
    ['country_changed', 'from a place that we do not know from you', 'A new sign-in to'],
    ['anonymous_network', 'through a network that hides where they are', 'A new sign-in to'],
    ['unlocatable', 'from a place that we could not determine', 'A new sign-in to'],
    ['session_reused', 'Two browsers came with the same session of your account at shop.example', 'A session of'],
  ] as const)('says of %s what is known of it', (reason, words, about) => {
    const context = mailContext(recordOf('alice', { reason }), link, LINK.expiresAtMs);
    const { subject, text, html } = questionMail(context);
    expect(context.reason).toBe(reason);
    expect([subject, text, html]).toEqual([about, words, words].map((part) => expect.stringContaining(part)));
    expect(text.includes('do not know from you')).toBe(reason === 'country_changed');
  });

  test('what a template is given is escaped in HTML', () => {
    const context = { ...mailContext(recordOf('alice'), link, LINK.expiresAtMs), device: '<img src=x>', place: '"&' };
    expect(questionMail(context).html).not.toContain('<img');
  });
});
