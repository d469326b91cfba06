/** The console mounted in an app: its own request says who it is, and what is done there is done in Redis. */
import { describe, expect, test } from '@jest/globals';
import { createBouncer } from '../../src/index.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisLists } from '../../src/redis/lists.ts';
import { captureLog, connect, errorsIn, release, testPrefix, testRedisUrl } from '../support/index.ts';
import { PATIENCE } from '../support/shop.ts';
import { MOUNTS } from './mounts/servers.ts';

/** The header of the app's own request, however its framework tells it. */
function headerOf(request: object, name: string): string | undefined {
  const { headers, req } = request as { headers?: Record<string, string>; req?: { header?: (name: string) => string } };
  return headers?.[name] ?? req?.header?.(name);
}

function bouncerOf(prefix: string) {
  const log = captureLog();
  const bouncer = createBouncer({ redis: testRedisUrl(), prefix, log, ...PATIENCE });
  release(() => bouncer.close());
  const mounted = bouncer.console({
    authorize: (request) => {
      const name = headerOf(request, 'x-user');
      return name === undefined ? null : { role: name === 'ada' ? 'admin' : 'viewer', name };
    },
  });
  return { mounted, log };
}

describe.each(MOUNTS)('mounted in $name', ({ open }) => {
  test('lets in whom the app lets in, and does what a form says', async () => {
    const prefix = testPrefix();
    const { mounted, log } = bouncerOf(prefix);
    const url = await open(mounted);
    const ask = (path: string, init: RequestInit = {}) => fetch(`${url}/desk${path}`, { redirect: 'manual', ...init });
    expect((await ask('/incidents')).status).toBe(401);

    const page = await ask('/address?address=81.2.69.142', { headers: { 'x-user': 'ada', accept: 'text/html' } });
    const text = await page.text();
    expect([page.status, text]).toEqual([200, expect.stringContaining('href="/desk/incidents"')]);
    const action = /<form method="post" action="\/desk([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? '';
    const csrf = /name="csrf" value="([\w-]+)"/.exec(text)?.[1] ?? '';
    const cookie = page.headers
      .getSetCookie()
      .map((set) => set.split(';')[0])
      .join('; ');
    const body = new URLSearchParams({ csrf, list: 'block', for: '1d', why: 'a test' }).toString();
    const post = (user: string) =>
      ask(action, {
        method: 'POST',
        headers: {
          'x-user': user,
          cookie,
          'sec-fetch-site': 'same-origin',
          'content-type': 'application/x-www-form-urlencoded',
        },
        body,
      });
    expect((await post('vera')).status).toBe(403);
    const done = await post('ada');
    expect([done.status, done.headers.get('location')]).toEqual([303, expect.stringMatching(/^\/desk\/address\?/)]);
    const entries = await redisLists(connect(), keysFor(prefix)).list(Date.now());
    expect(entries).toMatchObject([{ list: 'block', kind: 'address', value: '81.2.69.142', by: 'ada', why: 'a test' }]);
    expect(errorsIn(log)).toEqual([]);
  });
});

test.each([{}, { authorize: 'admin' }, { authorize: () => null, reauthenticateUrl: 'javascript:alert(1)' }, null])(
  'options %j are refused at once',
  (options) => {
    const bouncer = createBouncer({ redis: testRedisUrl(), prefix: testPrefix(), log: captureLog() });
    release(() => bouncer.close());
    expect(() => bouncer.console(options as never)).toThrow(expect.objectContaining({ code: 'option_invalid' }));
  },
);
