/** One small app on three frameworks, each with our store or a stock one that writes to `sess:<id>`. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import cookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import RedisStore from 'connect-redis7';
import express, { type Request, type Response } from 'express';
import session from 'express-session';
import fastify, { type FastifyRequest } from 'fastify';
import type { Redis } from 'ioredis';
import Koa, { type Context } from 'koa';
import koaSession from 'koa-session';
import type { Bouncer } from '../../../src/index.ts';
import type { FrameworkName } from '../survival.ts';

export type Web =
  | { readonly side: 'ours'; readonly bouncer: Bouncer }
  | { readonly side: 'stock'; readonly redis: Redis };

/** A request, as the routes see it. */
export interface Turn {
  readonly path: string;
  /** The framework's own request object. */
  readonly request: object;
  /** '' where there is none. */
  query(name: string): string;
  id(): string;
  user(): string | null;
  /** Puts the user into the session. */
  begin(user: string): void;
  change(): void;
  save(): Promise<void>;
  /** A new id; the data is copied. */
  regenerate(): Promise<void>;
}

export type Route = (turn: Turn) => Promise<object>;
export interface Running {
  readonly url: string;
  close(): Promise<unknown>;
}

interface Data {
  userId?: string;
  changes?: number;
}

const SECRET = 'not a secret, but a bench, and 32 letters long';
const TTL_SECONDS = 3600;

export const OPENERS: Readonly<Record<FrameworkName, (web: Web, route: Route) => Promise<Running>>> = {
  express: openExpress,
  fastify: openFastify,
  koa: openKoa,
};

async function listening(listener: RequestListener): Promise<Running> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

function common(data: () => Data) {
  return {
    user: () => data().userId ?? null,
    begin(user: string) {
      data().userId = user;
    },
    change() {
      data().changes = (data().changes ?? 0) + 1;
    },
  };
}

function openExpress(web: Web, route: Route): Promise<Running> {
  const app = express();
  const store = web.side === 'ours' ? web.bouncer.store(session) : new RedisStore({ client: web.redis });
  app.use(session({ store, secret: SECRET, resave: true, rolling: true, saveUninitialized: false }));
  if (web.side === 'ours') app.use(web.bouncer.gate());
  app.use(async (req: Request, res: Response) => {
    res.json(await route(expressTurn(req)));
  });
  return listening(app);
}

function expressTurn(req: Request): Turn {
  return {
    ...common(() => req.session as Data),
    path: req.path,
    request: req,
    query: (name) => String(req.query[name] ?? ''),
    id: () => req.sessionID,
    save: () => new Promise((resolve) => req.session.save(() => resolve())),
    regenerate: () =>
      new Promise((resolve) => {
        const { cookie: _, ...data } = req.session;
        req.session.regenerate(() => {
          Object.assign(req.session, data);
          resolve();
        });
      }),
  };
}

async function openFastify(web: Web, route: Route): Promise<Running> {
  const app = fastify();
  app.register(cookie);
  const options = { secret: SECRET, saveUninitialized: false, rolling: true, cookie: { secure: false } };
  if (web.side === 'ours') app.register(web.bouncer.fastify(fastifySession), options);
  else app.register(fastifySession, { ...options, store: new RedisStore({ client: web.redis }) as never });
  app.get('/*', (request) => route(fastifyTurn(request)));
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const close = async () => {
    app.server.closeAllConnections();
    await app.close();
  };
  return { url, close };
}

function fastifyTurn(request: FastifyRequest): Turn {
  return {
    ...common(() => (request.session ?? {}) as unknown as Data),
    path: request.url.split('?')[0] ?? '',
    request,
    query: (name) => (request.query as Record<string, string | undefined>)[name] ?? '',
    id: () => request.session.sessionId,
    save: () => request.session.save().catch(() => {}),
    async regenerate() {
      const { userId, changes } = request.session as unknown as Data;
      await request.session.regenerate().catch(() => {});
      Object.assign(request.session, { userId, changes });
    },
  };
}

type Ctx = Context & { session: (Data & { save(): Promise<void>; regenerate(): Promise<void> }) | null };

function openKoa(web: Web, route: Route): Promise<Running> {
  const app = new Koa();
  app.keys = [SECRET];
  if (web.side === 'ours') app.use(web.bouncer.koa(koaSession, { rolling: true }, app) as never);
  else app.use(koaSession({ rolling: true, store: koaStore(web.redis) as never }, app));
  app.use(async (ctx) => {
    ctx.body = await route(koaTurn(ctx as Ctx));
  });
  return listening(app.callback());
}

function koaStore(redis: Redis) {
  return {
    get: async (id: string) => JSON.parse((await redis.get(`sess:${id}`)) ?? 'null') as unknown,
    set: (id: string, data: object) => redis.set(`sess:${id}`, JSON.stringify(data), 'EX', TTL_SECONDS),
    destroy: (id: string) => redis.del(`sess:${id}`),
  };
}

function koaTurn(ctx: Ctx): Turn {
  return {
    ...common(() => ctx.session ?? {}),
    path: ctx.path,
    request: ctx,
    query: (name) => String(ctx.query[name] ?? ''),
    id: () => koaId(ctx),
    save: async () => ctx.session?.save().catch(() => {}),
    // koa-session takes the data along by itself.
    regenerate: async () => ctx.session?.regenerate().catch(() => {}),
  };
}

/** koa-session tells nobody its new id: the answer's cookie does, or else the request's. */
function koaId(ctx: Ctx): string {
  const lines = [ctx.response.headers['set-cookie'] ?? []].flat();
  const ids = lines.flatMap((line) => /^koa\.sess=([^;]+)/.exec(line)?.slice(1) ?? []);
  return ids.at(-1) ?? ctx.cookies.get('koa.sess', { signed: false }) ?? '';
}
