/** What `createBouncer` is given. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { type Bouncer, type BouncerOptions, createBouncer } from '../../src/bouncer.ts';
import { captureLog } from '../support/index.ts';

/** Nobody listens there. */
const redis = 'redis://127.0.0.1:1';
let opened: Bouncer | undefined;
afterEach(async () => {
  await opened?.close();
  opened = undefined;
});

function open(options: unknown): Bouncer {
  opened = createBouncer(options as BouncerOptions);
  return opened;
}

const MAX_TIMER = 2 ** 31;

describe('createBouncer', () => {
  test.each<[string, unknown]>([
    ['options', undefined],
    ['options', null],
    ['redis', {}],
    ['redis', { redis: null }],
    ['redis', { redis: 6379 }],
    ['redis', { redis: 'localhost:6379' }],
    ['prefix', { redis, prefix: 'a:b' }],
    ['prefix', { redis, prefix: 7 }],
    ['log', { redis, log: { info: () => {}, warn: () => {}, error: () => {} } }],
    ['log', { redis, log: 'warn' }],
    ...[Number.NaN, Number.POSITIVE_INFINITY, -1, 1.5, '250', MAX_TIMER, null].map((value): [string, unknown] => [
      'enqueueTimeoutMs',
      { redis, enqueueTimeoutMs: value },
    ]),
    ...[Number.NaN, Number.POSITIVE_INFINITY, 0, 1e12].map((value): [string, unknown] => [
      'maxWaitingLogins',
      { redis, maxWaitingLogins: value },
    ]),
    ...[Number.NaN, Number.POSITIVE_INFINITY, 0, MAX_TIMER].map((value): [string, unknown] => [
      'redisTimeoutMs',
      { redis, redisTimeoutMs: value },
    ]),
    ...[Number.NaN, Number.POSITIVE_INFINITY, 0, -5, 0.5].flatMap((value): [string, unknown][] => [
      ['session.ttlSeconds', { redis, session: { ttlSeconds: value } }],
      ['session.absoluteTtlSeconds', { redis, session: { absoluteTtlSeconds: value } }],
    ]),
    ['session.renewAfter', { redis, session: { renewAfter: Number.NaN } }],
    ['session.renewAfter', { redis, session: { renewAfter: 2 } }],
    ['session.idPattern', { redis, session: { idPattern: '^a$' } }],
    ['session', { redis, session: 7 }],
    ['rotate.everyRequests', { redis, rotate: { everyRequests: Number.POSITIVE_INFINITY } }],
    ['rotate.everyRequests', { redis, rotate: { everyRequests: 0 } }],
    ['rotate.everyRequests', { redis, rotate: {} }],
    ...[
      'gotcha',
      '//evil.example',
      '/\\evil.example',
      'https://a.example/',
      '/gotcha?a=1',
      'javascript:alert(1)',
      '',
    ].map((path): [string, unknown] => ['gotcha.path', { redis, gotcha: { path } }]),
    ['gotcha.path', { redis, gotcha: { path: '/' } }],
    ['gotcha.path', { redis, gotcha: { path: '/login' } }],
    ['gotcha.path', { redis, gotcha: { path: '/sign-in/', loginUrl: '/sign-in?next=/' } }],
    ['gotcha.path', { redis, gotcha: { loginUrl: '/gotcha' } }],
    ...[
      'login',
      '//evil.example',
      'javascript:alert(1)',
      'JaVaScRiPt:alert(1)',
      'data:text/html,x',
      ' /login',
      '',
    ].flatMap((url): [string, unknown][] => [
      ['gotcha.loginUrl', { redis, gotcha: { loginUrl: url } }],
      ['gotcha.url', { redis, gotcha: { url } }],
    ]),
    ['gotcha.render', { redis, gotcha: { render: '<p>' } }],
    ['openPaths', { redis, openPaths: '/static/' }],
    ['openPaths.1', { redis, openPaths: ['/static/', 'help'] }],
    ['needsUser', { redis, needsUser: true }],
  ])('%s of %j is refused by name, with what to give', (name, options) => {
    let error: unknown;
    try {
      open(options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ name: 'BouncerError', code: 'option_invalid' });
    const { message } = error as Error;
    expect(message.startsWith(`${name}: `)).toBe(true);
    expect(message.slice(name.length)).toMatch(/^: (give|use) /);
  });

  test('names that mean nothing are told', () => {
    const log = captureLog();
    open({
      redis,
      log,
      rotates: 5,
      openPath: ['/'],
      session: { ttl: 60 },
      gotcha: { paths: '/x' },
      needsUser: undefined,
    });
    const options = ['rotates', 'openPath', 'session.ttl', 'gotcha.paths'];
    expect(log.entries).toEqual([
      expect.objectContaining({ level: 'warn', fields: { event: 'option_unknown', options } }),
    ]);
  });

  test('takes all of them, also those left undefined', () => {
    const log = captureLog();
    open({
      redis: { host: '127.0.0.1', port: 1 },
      prefix: 'shop-1',
      session: { ttlSeconds: 60, absoluteTtlSeconds: 3600, renewAfter: 0, idPattern: /^a$/ },
      rotate: { everyRequests: 1 },
      gotcha: { path: '/sorry/here', url: 'https://help.example/x?y=1', loginUrl: 'http://localhost:3000/login' },
      openPaths: ['/', '/static/', '/help?tab=1'],
      needsUser: () => true,
      enqueueTimeoutMs: 0,
      maxWaitingLogins: 1,
      redisTimeoutMs: 1,
      trustProxy: ['loopback'],
      forwardedHeader: 'forwarded',
      log,
      clock: Date.now,
    });
    expect(log.text()).not.toContain('option_unknown');
    const rest = {
      prefix: undefined,
      session: { idPattern: undefined },
      gotcha: { render: undefined, path: undefined },
    };
    const more = { openPaths: undefined, needsUser: undefined, clock: undefined, rotate: undefined };
    expect(() => createBouncer({ redis, log: captureLog(), ...rest, ...more }).close()).not.toThrow();
  });
});
