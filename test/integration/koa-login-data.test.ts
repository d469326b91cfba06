/** Koa: `bouncer.login` with data under a name that koa-session keeps for itself. */
import { createServer } from 'node:http';
import { expect, test } from '@jest/globals';
import Koa from 'koa';
import koaSession from 'koa-session';
import { createBouncer } from '../../src/index.ts';
import { listening } from '../contract/frameworks/express.ts';
import { captureLog, release, testPrefix, testRedisUrl } from '../support/index.ts';

async function openSite(): Promise<(data: string, cookie?: string) => Promise<{ said: object; cookie: string }>> {
  const limits = { redisTimeoutMs: 20_000, enqueueTimeoutMs: 20_000 };
  const bouncer = createBouncer({ redis: testRedisUrl(), prefix: testPrefix(), log: captureLog(), ...limits });
  release(() => bouncer.close());
  const app = new Koa();
  app.keys = ['k'.repeat(32)];
  app.use(bouncer.koa(koaSession, { key: 'sid' }, app) as never);
  app.use(async (ctx) => {
    const data = ctx.get('x-data');
    if (data === '') {
      ctx.body = ctx.session?.toJSON();
      return;
    }
    const done = bouncer.login(ctx, { userId: 'alice', data: JSON.parse(data) as Record<string, unknown> });
    ctx.body = await done.catch(({ code, message }) => ({ code, message }));
  });
  const { url, close } = await listening(createServer(app.callback()));
  release(close);
  return async (data, cookie = '') => {
    const answer = await fetch(url, { headers: { 'x-data': data, cookie } });
    const set = answer.headers.getSetCookie().map((line) => line.split(';')[0]);
    return { said: (await answer.json()) as object, cookie: set.length > 0 ? set.join('; ') : cookie };
  };
}

test('a coded error that names it, and the session goes on as it was', async () => {
  const ask = await openSite();
  const { said, cookie } = await ask('{"userId":"alice","cookie":"oat"}');
  expect(said).toMatchObject({ saved: true });
  for (const name of ['save', 'regenerate', 'commit', 'toJSON', 'length', '__proto__']) {
    const refused = await ask(`{"userId":"mallory","${name}":7}`, cookie);
    expect(refused.said).toEqual({ code: 'option_invalid', message: expect.stringContaining(` ${name} `) });
    expect((await ask('', cookie)).said).toEqual({ userId: 'alice', cookie: 'oat' });
  }
});

test('maxAge is how koa-session is told how long', async () => {
  const ask = await openSite();
  expect((await ask('{"userId":"alice","maxAge":60000}')).said).toMatchObject({ saved: true });
});
