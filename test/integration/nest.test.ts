/** The recipe of docs/sessions.md for NestJS, on both of its platforms. */
import 'reflect-metadata';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { describe, expect, test } from '@jest/globals';
import { Controller, Get, Module, Post, Req } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import session from 'express-session';
import { type Bouncer, createBouncer } from '../../src/index.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { captureLog, connect, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { ADDRESS, Browser, PATIENCE } from '../support/shop.ts';

const SECRET = 'a secret of the tests, forty letters long';

interface RequestWithSession {
  session: { userId?: string; visits?: number };
}

/** Decorators applied by hand: the tests' compiler settings know none. A user writes `@Controller()` and the rest. */
function shopModule(bouncer: Bouncer): new () => object {
  class ShopController {
    async login(req: RequestWithSession) {
      return bouncer.login(req, { userId: 'alice', data: { userId: 'alice' } });
    }
    me(req: RequestWithSession) {
      return { user: req.session.userId ?? null, visits: req.session.visits ?? 0 };
    }
    async pay(req: RequestWithSession) {
      await bouncer.assertNotRevoked(req);
      req.session.visits = (req.session.visits ?? 0) + 1;
      return this.me(req);
    }
  }
  const routes = { login: Post('login'), me: Get('me'), pay: Post('pay') } as const;
  for (const [name, route] of Object.entries(routes)) {
    route(ShopController.prototype, name, Object.getOwnPropertyDescriptor(ShopController.prototype, name) as never);
    Req()(ShopController.prototype, name, 0);
  }
  Controller()(ShopController);
  class ShopModule {}
  Module({ controllers: [ShopController] })(ShopModule);
  return ShopModule;
}

async function onExpress(bouncer: Bouncer) {
  const app = await NestFactory.create(shopModule(bouncer), { logger: false });
  app.use(bouncer.express(session, { secret: SECRET, resave: false, saveUninitialized: false }));
  return app;
}

async function onFastify(bouncer: Bouncer) {
  const app = await NestFactory.create<NestFastifyApplication>(shopModule(bouncer), new FastifyAdapter(), {
    logger: false,
  });
  await app.register(fastifyCookie as never);
  await app.register(bouncer.fastify(fastifySession) as never, { secret: SECRET, cookie: { secure: false } });
  return app;
}

describe.each([
  ['express', onExpress],
  ['fastify', onFastify],
])('NestJS on %s', (_name, make) => {
  test('login, change, revoke: bounced, and nothing brings it back', async () => {
    const prefix = testPrefix();
    const log = captureLog();
    const bouncer = createBouncer({ redis: testRedisUrl(), prefix, trustProxy: ['loopback'], log, ...PATIENCE });
    const app = await make(bouncer);
    await app.listen(0, '127.0.0.1');
    release(async () => {
      await app.close();
      await bouncer.close();
    });
    const browser = new Browser((await app.getUrl()).replace('[::1]', '127.0.0.1'), ADDRESS.london);
    const login = await until(async () => {
      const answer = (await browser.post('/login')).json();
      return answer.saved === true && answer;
    });
    expect(await browser.user()).toBe('alice');
    expect((await browser.post('/pay')).json()).toEqual({ user: 'alice', visits: 1 });
    expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits: 1 });

    const worker = redisSessions(connect(), keysFor(prefix), 1_000_000);
    const caseId = 'AAAA-BBBB-CCCC';
    const end = {
      handle: 'h'.repeat(43),
      lid: String(login.lid),
      reason: 'country_changed',
      caseId,
      atMs: Date.now(),
    } as const;
    await worker.revoke([end]);
    const script = await new Browser(await app.getUrl(), ADDRESS.london).get('/me');
    expect(script.json()).toEqual({ user: null, visits: 0 });
    const page = await browser.post('/pay');
    expect([page.status, page.location]).toEqual([303, `/gotcha?case=${caseId}`]);
    expect((await browser.get(page.location ?? '')).body).toContain(caseId);
    expect(await browser.user()).toBe(null); // the cookie is gone: anonymous
  });
});
