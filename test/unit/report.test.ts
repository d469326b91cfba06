/** What `reportLogin` is given. */
import { describe, expect, test } from '@jest/globals';
import { createBouncer } from '../../src/bouncer.ts';
import { loginEventSchema } from '../../src/queue/job.ts';
import { eventOf, type LoginReport } from '../../src/web/report.ts';
import { captureLog } from '../support/index.ts';

const REPORT: LoginReport = { userId: 'alice', sessionId: 's', address: '81.2.69.142' };
const NOW = 1_767_225_600_000;

describe('reportLogin', () => {
  const checked = (more: object) => loginEventSchema.safeParse(eventOf({ ...REPORT, ...more }, NOW)).success;

  test.each<[string, object]>([
    ['a device id of a client that goes on and on', { deviceId: 'd'.repeat(5000) }],
    ['one that is no text', { deviceId: { $ne: null } }],
    ['a browser that is no text', { userAgent: ['a'] }],
    ['a time in seconds', { loginAtMs: 1_767_225_600 }],
    ['no time at all', { loginAtMs: Number.NaN }],
    ['no list', { list: 'yes' }],
    ['an address that is none', { address: { ip: 1 } }],
  ])('%s does not keep the login from being checked', (_name, more) => {
    expect(checked(more)).toBe(true);
  });

  test.each<[string, string, unknown]>([
    ['NaN', 'userId', Number.NaN],
    ['a fraction', 'userId', 1.5],
    ['a number that stands for several', 'userId', 2 ** 53],
    ['nobody', 'userId', ''],
    ['an object', 'userId', { toString: () => 'alice' }],
    ['too long a name', 'userId', 'a'.repeat(257)],
    ['no session', 'sessionId', ''],
    ['a lid that is none', 'lid', 'x'],
  ])('%s is rejected, and the field named', async (_name, field, value) => {
    const named = field === 'sessionId' ? 'handle' : field;
    // Nobody listens there.
    const bouncer = createBouncer({ redis: 'redis://127.0.0.1:1', log: captureLog() });
    expect(await bouncer.reportLogin({ ...REPORT, [field]: value })).toEqual({
      lid: '',
      status: 'rejected',
      field: named,
    });
    await bouncer.close();
  });

  test('what is optional is cut or left out', () => {
    expect(eventOf({ ...REPORT, deviceId: 'd'.repeat(129) }, NOW)?.deviceId).toBe('d'.repeat(128));
    expect(eventOf({ ...REPORT, deviceId: 7 as never }, NOW)).not.toHaveProperty('deviceId');
    expect(eventOf({ ...REPORT, loginAtMs: 7 }, NOW)?.loginAtMs).toBe(NOW);
    expect(eventOf({ ...REPORT, loginAtMs: NOW - 1 }, NOW)?.loginAtMs).toBe(NOW - 1);
    expect(eventOf({ ...REPORT, userId: 42 }, NOW)?.userId).toBe('42');
  });
});
