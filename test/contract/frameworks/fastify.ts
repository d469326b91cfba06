import cookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import fastify, { type FastifyRequest } from 'fastify';
import { type Framework, failure, ROUTES, SECRET, type ShopSession, type Turn } from './harness.ts';

export const fastify5: Framework = {
  name: 'fastify 5',
  cookie: 'sessionId',
  secret: SECRET,
  idIn: (value) => value.split('.')[0] ?? '',
  async open(bouncer, held, { maxAgeMs, eager = false }) {
    const app = fastify();
    app.register(cookie);
    app.register(bouncer.fastify(fastifySession), {
      secret: SECRET,
      rolling: eager,
      saveUninitialized: false,
      cookie: { secure: false, ...(maxAgeMs === undefined ? {} : { maxAge: maxAgeMs }) },
    });
    for (const [route, run] of Object.entries(ROUTES)) {
      const [method = '', url = ''] = route.split(' ');
      app.route({
        method: method as 'GET' | 'POST',
        url,
        handler: (request, reply) =>
          run(turnOf(request), bouncer, held).catch((error: unknown) =>
            reply.code(failure(error).status).send(failure(error).body),
          ),
      });
    }
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    return {
      url,
      close: async () => {
        app.server.closeAllConnections();
        await app.close();
      },
    };
  },
};

function turnOf(request: FastifyRequest): Turn {
  return {
    request,
    query: (name) => String((request.query as Record<string, unknown>)[name]),
    session: () => request.session as unknown as ShopSession,
    save: () => request.session.save(),
    regenerate: () => request.session.regenerate(),
    destroy: () => request.session.destroy(),
    isAbandoned: () => request.raw.socket.destroyed,
  };
}
