/** What the ingest takes and makes of it, who it believes, and how much it lets pass. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { Refused } from '../../src/ingest/answers.ts';
import { Buckets } from '../../src/ingest/limits.ts';
import { type Maker, readLogins, readVisit } from '../../src/ingest/schema.ts';
import { eventId, keyOf, makerFor, readSignature, signer } from '../../src/ingest/signature.ts';
import { loginEventSchema } from '../../src/queue/job.ts';
import { tagOf, userTag } from '../../src/redis/keys.ts';

const NOW = Date.UTC(2026, 10, 22, 9);
const KEY = Buffer.alloc(32, 7);
const MAKE: Maker = makerFor('msg_0123456789abcdef', KEY);
const read = (body: unknown) => readLogins(body, NOW, MAKE);

function refusal(work: () => unknown): { code: string; field: string | null } {
  try {
    work();
  } catch (error) {
    if (error instanceof Refused) return { code: error.code, field: error.field };
    throw error;
  }
  throw new Error('it was taken');
}

describe('a login', () => {
  test('what is left out is made: now, a login id in the slot of its user, a handle', () => {
    const [login] = read({ userId: 42, address: '81.2.69.142' });
    expect(login).toEqual({
      lid: expect.stringMatching(/^[\w-]{38}$/),
      handle: expect.stringMatching(/^[\w-]{43}$/),
      userId: '42',
      address: '81.2.69.142',
      loginAtMs: NOW,
    });
    expect(tagOf(login?.lid ?? '')).toBe(userTag('42'));
  });

  test('the same message makes the same ids, each login its own', () => {
    const twice = { logins: [1, 2].map(() => ({ userId: 'a', address: null })) };
    const [first, second] = read(twice);
    expect(read(twice)).toEqual([first, second]);
    expect(first?.lid).not.toBe(second?.lid);
    expect(makerFor('msg_0123456789abcdef', Buffer.alloc(32, 8)).lid('a', 0)).not.toBe(first?.lid);
  });

  test.each([
    ['::ffff:81.2.69.142', { address: '81.2.69.142' }],
    ['2A02:0:0::1', { address: '2a02::1' }],
    [null, { address: null, addressProblem: 'no_address' }],
  ])('the address %s', (address, expected) => {
    expect(read({ userId: 'a', address })[0]).toMatchObject(expected);
  });

  test.each([
    ['2026-11-22T08:59:59.500Z', NOW - 500],
    ['2026-11-22T10:00:00+02:00', NOW - 3_600_000],
    [NOW - 1000, NOW - 1000],
    [NOW + 200_000, NOW],
    [undefined, NOW],
  ])('loginAt %s', (loginAt, expected) => {
    expect(read({ userId: 'a', address: null, loginAt })[0]?.loginAtMs).toBe(expected);
  });

  test('text of the client is cut, not refused', () => {
    const [login] = read({ userId: 'a', address: null, userAgent: 'u'.repeat(5000), deviceId: 'd'.repeat(5000) });
    expect([login?.userAgent?.length, login?.deviceId?.length]).toEqual([512, 128]);
  });

  test('a sealed id goes as it is, and the worker takes it', () => {
    const php = `v1.k1.${'i'.repeat(16)}.${'c'.repeat(57)}`;
    const [login] = read({ userId: 'a', address: null, php });
    expect(login?.php).toBe(php);
    expect(loginEventSchema.parse(login)).toEqual(login);
  });

  const login = { userId: 'a', address: null };
  test.each([
    ['no object', [], 'login_invalid', null],
    ['null', null, 'login_invalid', null],
    ['no user', { address: null }, 'login_invalid', 'userId'],
    ['an empty user', { ...login, userId: '' }, 'login_invalid', 'userId'],
    ['half a character as user', { ...login, userId: 'a\ud83d' }, 'login_invalid', 'userId'],
    ['a user that is no whole number', { ...login, userId: 1.5 }, 'login_invalid', 'userId'],
    ['no address', { userId: 'a' }, 'login_invalid', 'address'],
    ['a list as address', { ...login, address: '1.2.3.4, 5.6.7.8' }, 'login_invalid', 'address'],
    ['an unknown field', { ...login, ip: '1.2.3.4' }, 'field_unknown', null],
    ['an unknown field in a list', { logins: [login, { ...login, ip: 1 }] }, 'field_unknown', 'logins.1'],
    ['the third of a list', { logins: [login, login, { ...login, lid: '!' }] }, 'login_invalid', 'logins.2.lid'],
    [
      'one login id twice',
      { logins: [login, { ...login, lid: 'x'.repeat(38) }, { userId: 'b', address: null, lid: 'x'.repeat(38) }] },
      'login_invalid',
      'logins.2.lid',
    ],
    ['an empty list', { logins: [] }, 'login_invalid', 'logins'],
    ['too long a list', { logins: Array.from({ length: 101 }, () => login) }, 'login_invalid', 'logins'],
    ['a list and a login', { ...login, logins: [login] }, 'field_unknown', null],
    ['a time ahead', { ...login, loginAt: NOW + 400_000 }, 'login_invalid', 'loginAt'],
    ['a time ahead in a list', { logins: [{ ...login, loginAt: NOW + 400_000 }] }, 'login_invalid', 'logins.0.loginAt'],
    ['a time without a zone', { ...login, loginAt: '2026-11-22T08:00:00' }, 'login_invalid', 'loginAt'],
    ['a time in seconds', { ...login, loginAt: 1_763_800_000 }, 'login_invalid', 'loginAt'],
    ['a time before 2001', { ...login, loginAt: '1999-01-01T00:00:00Z' }, 'login_invalid', 'loginAt'],
    ['a session id for a handle', { ...login, handle: 'abc' }, 'login_invalid', 'handle'],
    ['an unsealed id', { ...login, php: 'abc' }, 'login_invalid', 'php'],
  ])('%s is refused', (_name, body, code, field) => {
    expect(refusal(() => read(body))).toEqual({ code, field });
  });

  test('whatever is taken here is taken by the worker; whatever is refused names no text of the sender', () => {
    const odd = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant(undefined), fc.double());
    const body = fc.record({
      userId: fc.oneof(fc.string({ maxLength: 300 }), fc.integer(), odd),
      address: fc.oneof(fc.constant(null), fc.ipV4(), fc.ipV6(), odd),
      loginAt: fc.oneof(
        fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
        fc.nat(),
        odd,
      ),
      lid: fc.oneof(fc.constant(undefined), fc.stringMatching(/^[\w-]{16,64}$/), odd),
      userAgent: fc.oneof(fc.string({ maxLength: 2000 }), odd),
    });
    let taken = 0;
    fc.assert(
      fc.property(body, (given) => {
        const sent: unknown = JSON.parse(JSON.stringify(given));
        try {
          for (const login of read(sent)) expect(loginEventSchema.parse(login)).toEqual(login);
          taken += 1;
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          expect([null, 'userId', 'address', 'loginAt', 'lid', 'userAgent']).toContain(error.field);
        }
      }),
      { numRuns: 2000 },
    );
    expect(taken).toBeGreaterThan(10);
  });
});

describe('a visit', () => {
  const visit = { case: 'K7QX-2M9F-4T8A', kind: 'refused', address: '105.112.10.20', path: '/a?token=secret' };

  test('is bounded, and loses its query', () => {
    const given = { ...visit, userAgent: 'u'.repeat(999), method: 'M'.repeat(99) };
    expect(readVisit(given, NOW)).toEqual({
      caseId: visit.case,
      visit: {
        atMs: NOW,
        kind: 'refused',
        address: visit.address,
        userAgent: 'u'.repeat(256),
        method: 'M'.repeat(16),
        path: '/a',
      },
    });
  });

  test.each([
    [{ ...visit, case: 'k7qx' }, 'visit_invalid', 'case'],
    [{ ...visit, kind: 'other' }, 'visit_invalid', 'kind'],
    [{ ...visit, path: 7 }, 'visit_invalid', 'path'],
    [{ ...visit, at: NOW }, 'field_unknown', null],
  ])('%j is refused', (body, code, field) => {
    expect(refusal(() => readVisit(body, NOW))).toEqual({ code, field });
  });
});

describe('a signature', () => {
  const secrets = [1, 2].map((byte) => `whsec_${Buffer.alloc(32, byte).toString('base64')}`);
  const keys = secrets.map(keyOf);
  const body = Buffer.from('{"userId":"Zoë"}');
  const id = 'msg_0123456789abcdef';

  const signed = (which: readonly number[], atMs = NOW) =>
    new Headers({
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(atMs / 1000)),
      'webhook-signature': which
        .map((index) => new Webhook(secrets[index] ?? `whsec_${Buffer.alloc(32).toString('base64')}`))
        .map((webhook) => webhook.sign(id, new Date(atMs), body.toString()))
        .join(' '),
    });

  test.each([
    [[0], 0],
    [[1], 1],
    [[9, 1], 1],
    [[9], -1],
  ])('of the reference library, by the secrets %j: ours is number %i', (which, by) => {
    expect(signer(readSignature(signed(which), NOW), body, keys)).toBe(by);
  });

  test('of another body, id or time is wrong', () => {
    const given = readSignature(signed([0]), NOW);
    expect(signer(given, Buffer.concat([body, Buffer.from(' ')]), keys)).toBe(-1);
    expect(signer({ ...given, id: 'msg_0123456789abcdeF' }, body, keys)).toBe(-1);
    expect(signer({ ...given, atSeconds: String(Number(given.atSeconds) + 1) }, body, keys)).toBe(-1);
  });

  test.each([
    [-301, 'timestamp_refused'],
    [-300, 'taken'],
    [300, 'taken'],
    [301, 'timestamp_refused'],
  ])('a message of %i s', (seconds, expected) => {
    const work = () => readSignature(signed([0], NOW + 1000 * seconds), NOW);
    if (expected === 'taken') expect(work().id).toBe(id);
    else expect(refusal(work).code).toBe(expected);
  });

  test.each([
    ['webhook-id', ''],
    ['webhook-id', '1'],
    ['webhook-id', 'a blank in the middle'],
    ['webhook-timestamp', '12e3'],
    ['webhook-timestamp', '-5'],
    ['webhook-signature', 'v2,AAAA'],
    ['webhook-signature', 'v1,AAAA'],
    ['webhook-signature', ''],
  ])('%s: "%s" is none', (name, value) => {
    const headers = signed([0]);
    headers.set(name, value);
    expect(refusal(() => readSignature(headers, NOW)).code).toBe('signature_missing');
  });

  test('the id of an event has letters that a queue takes, and is not that of the message', () => {
    expect(eventId(id, '{}')).toMatch(/^in-[\w-]{32}$/);
    expect(eventId(id, '{}')).toBe(eventId(id, Buffer.from('{}')));
    expect(eventId(id, '{}')).not.toBe(eventId(`${id}0`, '{}'));
    expect(eventId(id, '{}')).not.toBe(eventId(id, '{} '));
  });
});

describe('an allowance', () => {
  test('a burst, then its rate; each name for itself', () => {
    const buckets = new Buckets({ perSecond: 10, burst: 20 });
    for (let i = 0; i < 20; i++) {
      expect(buckets.waitMs('a', 1, NOW)).toBe(0);
      buckets.take('a', 1, NOW);
    }
    expect(buckets.waitMs('a', 1, NOW)).toBe(100);
    expect(buckets.waitMs('b', 1, NOW)).toBe(0);
    expect(buckets.waitMs('a', 1, NOW + 100)).toBe(0);
  });

  test('more than a burst passes when it is full, as a debt', () => {
    const buckets = new Buckets({ perSecond: 10, burst: 20 });
    expect(buckets.waitMs('a', 50, NOW)).toBe(0);
    buckets.take('a', 50, NOW);
    expect(buckets.waitMs('a', 1, NOW)).toBe(3100);
  });

  test('is bounded in names, and bears a clock that is set back', () => {
    const buckets = new Buckets({ perSecond: 1, burst: 1, most: 2 });
    for (const name of ['a', 'b', 'c']) buckets.take(name, 1, NOW);
    expect(['c', 'b', 'a'].map((name) => buckets.waitMs(name, 1, NOW))).toEqual([1000, 1000, 0]);
    expect(buckets.waitMs('a', 1, NOW - 60_000)).toBe(0);
  });
});
