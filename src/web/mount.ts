/** One application of web requests and responses, mounted in whatever serves this process. Imports no framework. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { BouncerError, errorName } from '../errors.ts';
import type { Log } from '../ports.ts';
import { type Addressed, sendResponse, webRequest } from './node-bridge.ts';

/** Where it is mounted, and the framework's own request. */
export interface MountEnv {
  readonly base: string;
  readonly native: unknown;
  readonly secure: boolean;
}

export type WebHandler = (request: Request, env: MountEnv) => Response | Promise<Response>;

export type NodeRequest = IncomingMessage & {
  readonly originalUrl?: string;
  readonly baseUrl?: string;
  readonly secure?: boolean;
  readonly body?: unknown;
};

interface FastifyRequest {
  readonly raw: IncomingMessage;
  readonly url: string;
  readonly body?: unknown;
  readonly protocol: string;
}
interface FastifyReply {
  readonly raw: ServerResponse;
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  send(body: unknown): unknown;
}
interface FastifyInstance {
  readonly prefix: string;
  removeAllContentTypeParsers(): unknown;
  addContentTypeParser(
    type: string,
    options: { parseAs: 'buffer'; bodyLimit: number },
    parse: (request: unknown, body: unknown, done: (error: null, body: unknown) => void) => void,
  ): unknown;
  route(options: object): unknown;
}
interface KoaContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly originalUrl: string;
  readonly secure: boolean;
  readonly request: { readonly body?: unknown };
  readonly mountPath?: string;
  status: number;
  body: unknown;
  set(name: string, value: string): void;
  append(name: string, value: string): void;
}
interface HonoContext {
  readonly req: { readonly raw: Request; readonly url: string; arrayBuffer(): Promise<ArrayBuffer> };
}

export interface Mountable {
  /** For whatever speaks in web requests. `base`: where it is mounted; it is taken off the request's path. */
  fetch(request: Request, where?: { readonly base?: string; readonly native?: unknown }): Promise<Response>;
  /** `http.createServer(console.node())`, or `console.node('/console')(req, res)` within a server of your own. */
  node(base?: string): (req: IncomingMessage, res: ServerResponse) => void;
  /** Express 4 and 5: `app.use('/console', console.express())`. */
  express(): (req: NodeRequest, res: ServerResponse, next: (error?: unknown) => void) => void;
  /** Fastify 5: `app.register(console.fastify(), { prefix: '/console' })`. */
  fastify(): (instance: FastifyInstance, options: object, done: () => void) => void;
  /** Koa 2 and 3: `app.use(console.koa('/console'))`, or within koa-mount without a path. */
  koa(base?: string): (ctx: KoaContext, next: () => Promise<unknown>) => Promise<unknown>;
  /** Hono: `app.all('/console/*', console.hono('/console'))`. */
  hono(base: string): (c: HonoContext) => Promise<Response>;
}

/** `load` is called at the first request: what it brings along is no part of a process that mounts nothing. */
export function mountable(load: () => Promise<WebHandler>, log: Log): Mountable {
  let loading: Promise<WebHandler> | undefined;
  const handle: WebHandler = async (request, env) => {
    loading ??= load();
    // A failed load is tried again: Redis may have been away.
    loading.catch(() => {
      loading = undefined;
    });
    return (await loading)(request, env);
  };
  const answer = answerer(handle);
  return {
    fetch: (request, { base, native } = {}) => fetched(handle, request, checkedBase(base ?? ''), native ?? request),
    node: (base = '') => nodeListener(answer, checkedBase(base), log),
    express: () => expressHandler(answer),
    fastify: () => fastifyPlugin(answer),
    koa: (base) => koaMiddleware(answer, base === undefined ? undefined : checkedBase(base)),
    hono: (base) => (c) => honoAnswer(handle, c, checkedBase(base)),
  };
}

/** A path such as `/console`, without a slash at the end; '' for the root. */
function checkedBase(base: string): string {
  if (!/^(\/(?!\/)[\w.~/-]*)?$/.test(base)) {
    throw new BouncerError('option_invalid', 'console: mount it at a path such as /console');
  }
  return base.replace(/\/+$/, '');
}

/** What a router took off the path is part of the request's own text: never `//host`. */
function takenBase(base: string): string {
  return base.replace(/^\/{2,}/, '/').replace(/\/+$/, '');
}

type Answer = (
  req: IncomingMessage,
  res: ServerResponse,
  where: Addressed & Pick<MountEnv, 'base' | 'native'>,
  parsed: unknown,
) => Promise<Response>;

/** A Node request's answer, with an end where the client goes away before it. */
function answerer(handle: WebHandler): Answer {
  return async (req, res, { base, native, target, secure }, parsed) => {
    const gone = new AbortController();
    res.once('close', () => {
      if (!res.writableFinished) gone.abort();
    });
    const bridged = await webRequest(req, { target, secure }, parsed, gone.signal);
    if ('request' in bridged) return handle(bridged.request, { base, native, secure });
    // What is left of the body is not read: this connection ends.
    return new Response('This cannot be read\n', { status: bridged.status, headers: { connection: 'close' } });
  };
}

/** The path and query of a request line, which may also be a whole URL. */
function originForm(url: string): string {
  if (url.startsWith('/')) return url;
  const found = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*([^#]*)/i.exec(url)?.[1] ?? '';
  return found.startsWith('/') ? found : `/${found}`;
}

/** Below `base`, or null where it is not. `/console` is `/console/`. */
function below(base: string, url: string): string | null {
  const target = originForm(url);
  if (base === '') return target;
  const rest = target.slice(base.length);
  if (!target.startsWith(base) || !/^([/?]|$)/.test(rest)) return null;
  return rest.startsWith('/') ? rest : `/${rest}`;
}

const isSecure = (req: IncomingMessage) => (req.socket as { encrypted?: boolean } | undefined)?.encrypted === true;

function nodeListener(answer: Answer, base: string, log: Log) {
  return (req: IncomingMessage, res: ServerResponse): void => {
    const target = below(base, req.url ?? '/');
    const done =
      target === null
        ? Promise.resolve(new Response('Not there\n', { status: 404 }))
        : answer(req, res, { base, native: req, target, secure: isSecure(req) }, undefined);
    done
      .then((response) => sendResponse(response, res))
      .catch((error: unknown) => {
        log.error({ event: 'console_failed', error: errorName(error) }, 'A request to the review desk failed');
        if (!res.headersSent) res.writeHead(500).end('Something went wrong\n');
        else res.destroy();
      });
  };
}

function expressHandler(answer: Answer) {
  return (req: NodeRequest, res: ServerResponse, next: (error?: unknown) => void): void => {
    const base = takenBase(req.baseUrl ?? '');
    const target = originForm(req.url ?? '/');
    const secure = req.secure ?? isSecure(req);
    // Parsers leave `{}` where they have read nothing.
    const parsed = req.readableEnded ? req.body : undefined;
    answer(req, res, { base, native: req, target, secure }, parsed)
      .then((response) => sendResponse(response, res))
      .catch(next);
  };
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

function fastifyPlugin(answer: Answer) {
  return (instance: FastifyInstance, _options: object, done: () => void): void => {
    const base = takenBase(instance.prefix);
    instance.removeAllContentTypeParsers();
    const limit = { parseAs: 'buffer', bodyLimit: 128 * 1024 } as const;
    instance.addContentTypeParser('*', limit, (_request, body, parsed) => parsed(null, body));
    const handler = async (request: FastifyRequest, reply: FastifyReply) => {
      const target = below(base, request.raw.url ?? '/') ?? '/';
      const where = { base, native: request, target, secure: request.protocol === 'https' };
      const response = await answer(request.raw, reply.raw, where, request.body ?? new Uint8Array());
      reply.code(response.status);
      eachHeader(response, (name, value) => reply.header(name, value));
      return reply.send(bodyOf(response) ?? '');
    };
    for (const url of ['/', '/*']) instance.route({ method: METHODS, url, handler, exposeHeadRoute: false });
    done();
  };
}

function koaMiddleware(answer: Answer, given: string | undefined) {
  return async (ctx: KoaContext, next: () => Promise<unknown>): Promise<unknown> => {
    const base = given ?? takenBase(ctx.mountPath ?? '');
    const target = below(base, ctx.originalUrl);
    if (target === null) return next();
    const where = { base, native: ctx, target, secure: ctx.secure };
    const response = await answer(ctx.req, ctx.res, where, ctx.req.readableEnded ? ctx.request.body : undefined);
    const body = bodyOf(response);
    // Koa 2 leaves a connection open whose stream has failed half-way.
    body?.once('error', () => {
      if (ctx.res.headersSent) ctx.res.destroy();
    });
    ctx.status = response.status;
    ctx.body = body ?? '';
    eachHeader(response, (name, value) => (name === 'set-cookie' ? ctx.append(name, value) : ctx.set(name, value)));
    return undefined;
  };
}

async function honoAnswer(handle: WebHandler, c: HonoContext, base: string): Promise<Response> {
  // What a middleware has read before is in Hono's memory, not in the request.
  const body = c.req.raw.bodyUsed ? await c.req.arrayBuffer() : undefined;
  return fetched(handle, c.req.raw, base, c, body);
}

async function fetched(
  handle: WebHandler,
  request: Request,
  base: string,
  native: unknown,
  body?: ArrayBuffer,
): Promise<Response> {
  const { origin, pathname, search, protocol } = new URL(request.url);
  const target = below(base, pathname + search);
  if (target === null) return new Response('Not there\n', { status: 404 });
  const moved = new Request(origin + target, body === undefined ? request : { ...initOf(request), body });
  return handle(moved, { base, native, secure: protocol === 'https:' });
}

const initOf = ({ method, headers, signal }: Request) => ({ method, headers, signal });

function eachHeader(response: Response, set: (name: string, value: string) => unknown): void {
  for (const [name, value] of response.headers) if (name !== 'set-cookie') set(name, value);
  for (const cookie of response.headers.getSetCookie()) set('set-cookie', cookie);
}

function bodyOf(response: Response): Readable | null {
  return response.body === null ? null : Readable.fromWeb(response.body as ReadableStream);
}
