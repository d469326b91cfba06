import type { IncomingMessage } from 'node:http';
import type { Logins } from '../ports.ts';
import type { AdapterDeps } from './adapter.ts';
import { assertNotRevoked } from './alive.ts';
import type { CookieSessionOptions } from './cookie-session.ts';
import { type ExpressMiddleware, type ExpressSessionOptions, expressSessions } from './express.ts';
import { fastifySessions } from './fastify.ts';
import type { StockGuard } from './guard.ts';
import { type HonoContext, honoSessions } from './hono.ts';
import { type JudgedRequest, type Judgement, judge } from './judge.ts';
import { type KoaContext, type KoaMiddleware, type KoaSessionOptions, koaSessions } from './koa.ts';
import { logoutRequest } from './logout-request.ts';
import { createSessionStore, storeClassOf } from './session-store.ts';
import { whose } from './whose.ts';

/** express-session's module, as far as we use it. */
interface ExpressSession<O> {
  (options: O): unknown;
  readonly Store: unknown;
}

/** Express's middleware; and for sockets, as in ws's own example, by the bare request of an upgrade with an empty response. */
export interface ExpressSessionMiddleware extends ExpressMiddleware {
  (req: IncomingMessage, res: Record<string, never>, next: () => void): void;
}

/** Sessions and gate for each framework; each is given the framework's own session middleware, and imports none. */
export interface Frameworks {
  /**
   * Express 4 and 5: `app.use(bouncer.express(session, { secret, ... }))`. express-session with our store between a strict
   * look at the cookie and the gate. The same as `session({ store: bouncer.store(session) })` and `gate()`, with the look.
   */
  express<O>(session: ExpressSession<O>, options: NonNullable<NoInfer<O>>): ExpressSessionMiddleware;
  /** Fastify 5: `app.register(bouncer.fastify(fastifySession), { secret, ... })`, after @fastify/cookie. */
  fastify<P>(plugin: P): P;
  /** Koa 2 and 3: `app.use(bouncer.koa(session, { key, ... }, app))` with koa-session. */
  koa(
    session: (options: never, app: never) => unknown,
    options: KoaSessionOptions & Record<string, unknown>,
    app: object,
  ): (ctx: KoaContext, next: () => Promise<unknown>) => Promise<unknown>;
  /** Hono: `app.use(bouncer.hono({ secret }))`; the session is `c.get('session')`, a `CookieSession`. */
  hono(options: CookieSessionOptions): (c: HonoContext, next: () => Promise<void>) => Promise<Response | undefined>;
  /** Any other framework: one GET, and what to answer. Never throws. */
  judge(request: JudgedRequest): Promise<Judgement>;
  /**
   * In the logout handler: ends the session and its login, with whatever other ids and sockets that has, also after the app (or
   * Passport's `req.logout`) has regenerated the session. The request goes on with an empty one. May be repeated. Takes the
   * request (or context) that `bouncer.login` takes, or `{ sessionId }` or `{ lid }` as for `judge`. Throws
   * `session_unavailable` when Redis is away (it is done when Redis is back), and `session_missing` where there is no session.
   */
  logout(request: object): Promise<void>;
  /**
   * In a handler, before what cannot be undone: throws `session_ended` where the session was revoked after the gate had let
   * this request pass, and `session_unavailable` where Redis cannot say. One GET.
   */
  assertNotRevoked(req: object): Promise<void>;
  /**
   * The login that this request's session belongs to (`endOthers` wants to know which one stays); '' where nobody is
   * logged in. No command. Takes what `login` takes: Express's or Fastify's request, Koa's or Hono's context.
   */
  lidOf(req: object): string;
}

export function frameworks(deps: AdapterDeps & { readonly logins: Logins; readonly guard: StockGuard }): Frameworks {
  return {
    express: (session, options) => {
      const Store = storeClassOf(session, 'express');
      const middleware = session({ ...options, store: createSessionStore(Store, deps.engine) });
      return expressSessions(middleware, options as unknown as ExpressSessionOptions, deps) as ExpressSessionMiddleware;
    },
    fastify: <P>(plugin: P) => fastifySessions(plugin, deps) as P,
    koa: (session, options, app) => {
      const make = (all: object) => session(all as never, app as never) as KoaMiddleware;
      return koaSessions(make, options, deps);
    },
    hono: (options) => honoSessions(options, deps),
    judge: (request) => judge(request, deps),
    logout: (request) => logoutRequest(request, deps),
    assertNotRevoked: (req) => assertNotRevoked(req, deps.engine, deps.ports),
    lidOf: (req) => whose(req, deps.ports)?.lid ?? '',
  };
}
