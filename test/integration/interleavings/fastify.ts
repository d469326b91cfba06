import cookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import fastify, { type FastifyRequest } from 'fastify';
import { type Bouncer, createBouncer } from '../../../src/index.ts';
import { captureLog, release } from '../../support/index.ts';
import type { Framework, InHandler } from './harness.ts';

export function fastifyWith({ rolling }: { rolling: boolean }): Framework {
  return {
    name: `fastify, rolling ${rolling}`,
    lacks: {},
    async open(redis, prefix, handlers) {
      const how = { session: { renewAfter: 0 }, enqueueTimeoutMs: 10_000 };
      const bouncer = createBouncer({ redis, prefix, log: captureLog(), ...how });
      const app = fastify();
      app.register(cookie);
      const options = { secret: 'not a secret, but 32 characters long', saveUninitialized: false, rolling };
      app.register(bouncer.fastify(fastifySession), { ...options, cookie: { secure: false } });
      app.get('/step/:name', async (request) => {
        const { name } = request.params as { name: string };
        await handlers.get(name)?.(inHandler(request, bouncer));
        return user(request);
      });
      app.get('/me', async (request) => user(request));
      const url = await app.listen({ port: 0, host: '127.0.0.1' });
      release(async () => {
        app.server.closeAllConnections();
        await app.close();
        await bouncer.close();
      });
      return { url, bouncer };
    },
  };
}

interface Data {
  userId?: string;
  changes?: number;
}

/** After a logout there is no session on the request. */
function user(request: FastifyRequest): { user: string | null } {
  return { user: (request.session as Data | null | undefined)?.userId ?? null };
}

function inHandler(request: FastifyRequest, bouncer: Bouncer): InHandler {
  const data = () => request.session as unknown as Data;
  let last = request.session;
  return {
    id: () => {
      last = request.session ?? last;
      return last.sessionId;
    },
    change() {
      data().changes = (data().changes ?? 0) + 1;
    },
    save: () => request.session.save().catch(() => {}),
    async regenerate() {
      const { userId, changes } = data();
      await request.session.regenerate().catch(() => {});
      Object.assign(request.session, { userId, changes });
    },
    destroy: () => request.session.destroy().catch(() => {}),
    login: (userId) => bouncer.login(request, { userId, data: { userId } }),
  };
}
