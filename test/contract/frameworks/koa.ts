import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import Koa3, { type Context } from 'koa';
import session from 'koa-session';
import { listening } from './express.ts';
import { type Framework, failure, ROUTES, SECRET, type ShopSession, type Turn } from './harness.ts';

const Koa2 = createRequire(import.meta.url)('koa2') as typeof Koa3;

export const koaFrameworks: readonly Framework[] = [framework('koa 2', Koa2), framework('koa 3', Koa3)];

interface KoaSession extends ShopSession {
  save(): Promise<void>;
  regenerate(): Promise<void>;
}
type Ctx = Context & { session: KoaSession | null };

function framework(name: string, Koa: typeof Koa3): Framework {
  return {
    name,
    cookie: 'koa.sess',
    secret: SECRET,
    idIn: (value) => value,
    async open(bouncer, held, { maxAgeMs, eager = false }) {
      const app = new Koa();
      app.keys = [SECRET];
      app.use(bouncer.koa(session, { rolling: eager, maxAge: maxAgeMs ?? 'session' }, app) as never);
      app.use(async (ctx) => {
        const route = ROUTES[`${ctx.method} ${ctx.path}`];
        if (route === undefined) return;
        try {
          ctx.body = await route(turnOf(ctx as Ctx), bouncer, held);
        } catch (error) {
          ctx.status = failure(error).status;
          ctx.body = failure(error).body;
        }
      });
      return listening(createServer(app.callback()));
    },
  };
}

function turnOf(ctx: Ctx): Turn {
  return {
    request: ctx,
    query: (name) => String(ctx.query[name]),
    session: () => ctx.session as ShopSession,
    save: async () => ctx.session?.save(),
    regenerate: async () => ctx.session?.regenerate(),
    destroy: async () => {
      ctx.session = null;
    },
    isAbandoned: () => ctx.req.socket.destroyed,
  };
}
