import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type HttpBindings, serve } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import type { CookieSession } from '../../../src/index.ts';
import { type Framework, failure, ROUTES, SECRET, type Turn } from './harness.ts';

type Env = { Variables: { session: CookieSession }; Bindings: HttpBindings };

export const hono: Framework = {
  name: 'hono',
  cookie: 'sid',
  secret: SECRET,
  idIn: (value) => value.split('.')[0] ?? '',
  async open(bouncer, held, { maxAgeMs }) {
    const app = new Hono<Env>();
    app.use(
      bouncer.hono({
        secret: SECRET,
        cookie: { secure: false },
        ...(maxAgeMs === undefined ? {} : { maxAgeSeconds: maxAgeMs / 1000 }),
      }),
    );
    for (const [route, run] of Object.entries(ROUTES)) {
      const [method = '', path = ''] = route.split(' ');
      app.on(method, path, async (c) => {
        try {
          return c.json(await run(turnOf(c), bouncer, held));
        } catch (error) {
          return c.json(failure(error).body, 409);
        }
      });
    }
    const server = await new Promise<Server>((resolve) => {
      const starting = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () => resolve(starting as Server));
    });
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      close: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  },
};

function turnOf(c: Context<Env>): Turn {
  const session = c.get('session');
  return {
    request: c,
    query: (name) => String(c.req.query(name)),
    session: () => session.data,
    save: async () => void (await session.save()),
    regenerate: () => session.regenerate(),
    destroy: () => session.destroy(),
    isAbandoned: () => c.env.incoming.socket.destroyed,
  };
}
