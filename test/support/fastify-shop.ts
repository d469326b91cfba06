/** A small Fastify shop, as a user of ours would write it. */
import cookie from '@fastify/cookie';
import fastifySession, { type FastifySessionOptions } from '@fastify/session';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { type BouncerOptions, createBouncer } from '../../src/index.ts';
import { captureLog, release, testPrefix, testRedisUrl } from './index.ts';
import { Browser, patienceFor } from './shop.ts';

export interface FastifyShopOptions {
  readonly bouncer?: Partial<BouncerOptions>;
  readonly session?: Partial<FastifySessionOptions>;
  readonly routes?: (app: FastifyInstance) => void;
}

interface Mine {
  userId?: string;
}

export const mineIn = (request: FastifyRequest) => request.session as typeof request.session & Mine;

export async function openFastifyShop({ bouncer: how, session, routes }: FastifyShopOptions = {}) {
  const log = captureLog();
  const where = { redis: testRedisUrl(), prefix: testPrefix(), log, trustProxy: ['loopback'] };
  const bouncer = createBouncer({ ...where, ...patienceFor(how), ...how });
  const app = fastify({ keepAliveTimeout: 0 });
  app.register(cookie);
  const { cookie: cookieHow, ...rest } = session ?? {};
  app.register(bouncer.fastify(fastifySession), {
    secret: 'a secret of the tests, forty letters long',
    ...rest,
    cookie: { secure: false, ...cookieHow },
  });
  app.post('/login', async (request) => bouncer.login(request, { userId: 'alice', data: { userId: 'alice' } }));
  app.get('/me', async (request) => ({ user: mineIn(request)?.userId ?? null }));
  routes?.(app);
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  release(async () => {
    app.server.closeAllConnections();
    await app.close();
    await bouncer.close();
  });
  return { url, bouncer, log, browser: () => new Browser(url, '81.2.69.142') };
}
