import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa, { type Context } from 'koa';
import session from 'koa-session';
import { type Bouncer, createBouncer } from '../../../src/index.ts';
import { captureLog, release } from '../../support/index.ts';
import type { Framework, InHandler } from './harness.ts';

interface KoaSession {
  userId?: string;
  changes?: number;
  save(): Promise<void>;
  regenerate(): Promise<void>;
}
type Ctx = Context & { session: KoaSession | null };

export function koaWith({ rolling }: { rolling: boolean }): Framework {
  return {
    name: `koa, rolling ${rolling}`,
    lacks: { 8: 'regenerate stores the new id at once: see 9' },
    async open(redis, prefix, handlers) {
      const how = { session: { renewAfter: 0 }, enqueueTimeoutMs: 10_000 };
      const bouncer = createBouncer({ redis, prefix, log: captureLog(), ...how });
      const app = new Koa();
      app.keys = ['not a secret in a test'];
      app.use(bouncer.koa(session, { rolling, maxAge: 'session' }, app) as never);
      app.use(async (ctx) => {
        const [, first, name = ''] = ctx.path.split('/');
        if (first === 'step') await handlers.get(name)?.(inHandler(ctx as Ctx, bouncer));
        ctx.body = { user: (ctx as Ctx).session?.userId ?? null };
      });
      const server = createServer(app.callback());
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      release(async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
        await bouncer.close();
      });
      return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bouncer };
    },
  };
}

function inHandler(ctx: Ctx, bouncer: Bouncer): InHandler {
  return {
    id: () => idOf(ctx),
    change() {
      if (ctx.session !== null) ctx.session.changes = (ctx.session.changes ?? 0) + 1;
    },
    save: async () => ctx.session?.save().catch(() => {}),
    // koa-session takes the data along by itself.
    regenerate: async () => ctx.session?.regenerate().catch(() => {}),
    destroy: async () => {
      ctx.session = null;
    },
    login: (userId) => bouncer.login(ctx, { userId, data: { userId } }),
  };
}

/** koa-session tells nobody its new id: the answer's cookie does, or else the request's. */
function idOf(ctx: Ctx): string {
  const lines = [ctx.response.headers['set-cookie'] ?? []].flat();
  const ids = lines.flatMap((line) => /^koa\.sess=([^;]+)/.exec(line)?.slice(1) ?? []);
  return ids.at(-1) ?? ctx.cookies.get('koa.sess', { signed: false }) ?? '';
}
