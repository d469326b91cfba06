import { BouncerError } from '../errors.ts';
import type { AdapterDeps } from './adapter.ts';
import { Attached } from './attached.ts';
import type { CookieAttributes } from './cookie.ts';
import { endedCookies, type HeldCookie, heldBack } from './held.ts';
import { askGate, type HttpRequest, headerOf } from './http.ts';
import { checkData } from './login.ts';
import { newSessionId, RequestSession } from './request-session.ts';
import { type Screened, screenCookie, withoutCookie } from './strict-id.ts';
import { isUpgrade } from './upgrade.ts';

interface KoaSession {
  regenerate(): Promise<void> | undefined;
}
/** A Koa (2 or 3) context, as far as we use it. */
export interface KoaContext {
  readonly method: string;
  readonly originalUrl: string;
  readonly req: {
    headers: Record<string, string | string[] | undefined>;
    socket: { remoteAddress?: string | undefined };
  };
  readonly res: {
    readonly headersSent: boolean;
    getHeader(name: string): number | string | string[] | undefined;
    setHeader(name: string, value: string[]): unknown;
    removeHeader(name: string): void;
  };
  readonly cookies: {
    set(name: string, value: string | null, options: object): unknown;
    readonly keys?: { verify?(data: string, signature: string): boolean } | undefined;
  };
  readonly sessionOptions?: KoaSessionOptions;
  session: unknown;
  status: number;
  body: unknown;
  set(name: string, value: string): void;
  append(name: string, value: string): void;
}
interface ExternalKey {
  get(ctx: object): string;
  set(ctx: object, id: string): unknown;
}
export interface KoaSessionOptions extends CookieAttributes {
  readonly key?: string;
  readonly signed?: boolean;
  readonly maxAge?: number | 'session' | undefined;
  /** Where the id travels in something else than a cookie. */
  readonly externalKey?: ExternalKey | undefined;
}
export type KoaMiddleware = (ctx: KoaContext, next: () => Promise<unknown>) => Promise<unknown>;

interface Slot {
  /** The held cookies, to be set behind koa-session's own. */
  back: readonly string[];
  readonly session: RequestSession;
  readonly screened: Screened;
  /** With an `externalKey`: what koa-session wants to set it to. */
  key?: string;
}
interface Told {
  readonly ctx: object;
}

/**
 * koa-session with our store, and the gate behind it, as one middleware. koa-session hands the context to its store, saves
 * after the handlers, and tells a logout (`ctx.session = null`) from a regenerate only by what `ctx.session` is.
 */
export function koaSessions(make: (options: object) => KoaMiddleware, options: KoaSessionOptions, deps: AdapterDeps) {
  const slots = new Attached<Slot>();
  const inner = make({
    ...options,
    ...(options.externalKey === undefined ? {} : { externalKey: laterKey(options.externalKey, slots) }),
    store: koaStore(slots, deps),
    genid: (ctx: object) => slots.get(ctx)?.session.makeId() ?? newSessionId(),
  });
  return async (ctx: KoaContext, next: () => Promise<unknown>): Promise<unknown> => {
    if (slots.get(ctx) !== undefined) return next();
    const session = new RequestSession(deps.engine, !isUpgrade(ctx.req.headers));
    const slot: Slot = { back: [], session, screened: screen(ctx, options, deps) };
    slots.set(ctx, slot);
    try {
      return await inner(ctx, () => gate(ctx, slot, options, deps, next));
    } finally {
      await slot.session.finish();
      if (options.externalKey !== undefined) nameOutside(ctx, slot, options.externalKey);
      // Else the handler has written its answer itself (`ctx.respond = false`): the next one will say it.
      else if (!ctx.res.headersSent) setCookies(ctx, slot, options);
    }
  };
}

function setCookies(ctx: KoaContext, { session, back }: Slot, options: KoaSessionOptions): void {
  unname(ctx, session, options);
  nameForwarded(ctx, session.forwardTo, options);
  if (back.length > 0) nameGivenBack(ctx, back, options);
}

function keyOf(options: KoaSessionOptions): string {
  return options.key ?? 'koa.sess';
}

function screen(ctx: KoaContext, options: KoaSessionOptions, deps: AdapterDeps): Screened {
  const header = headerOf(ctx.req, 'cookie');
  if (header === '' || options.externalKey !== undefined) return { kind: 'none' };
  const screened = screenCookie(header, keyOf(options), deps.idPattern, (value) => value);
  if (screened.kind === 'refused') {
    deps.onRefusedId(screened.problem);
    ctx.req.headers.cookie = withoutCookie(header, keyOf(options));
  }
  return screened;
}

function koaStore(slots: Attached<Slot>, deps: AdapterDeps) {
  // An app that calls the store itself may leave the context out: then it is nobody's session.
  const told = (by?: Told) => by && slots.get(by.ctx)?.session;
  const sessionOf = (by?: Told) => told(by) ?? new RequestSession(deps.engine);
  return {
    async get(sessionId: string, _maxAge?: unknown, by?: Told): Promise<object | undefined> {
      const loaded = await (told(by)?.load(sessionId) ?? sessionOf(by).peek(sessionId));
      if (loaded.kind !== 'live') return loaded.kind === 'away' ? {} : undefined;
      return loaded.data;
    },
    async set(sessionId: string, data: object, maxAge?: unknown, told?: Told): Promise<void> {
      await sessionOf(told).save(sessionId, data, typeof maxAge === 'number' ? maxAge : null);
    },
    async destroy(sessionId: string, told?: Told): Promise<void> {
      const session = sessionOf(told);
      const goesOn = session.owns(sessionId) && (told?.ctx as KoaContext | undefined)?.session !== null;
      if (!goesOn) return session.end(sessionId);
      session.leave(sessionId);
    },
  };
}

async function gate(
  ctx: KoaContext,
  slot: Slot,
  options: KoaSessionOptions,
  deps: AdapterDeps,
  next: () => Promise<unknown>,
): Promise<unknown> {
  const { session, screened } = slot;
  session.begun = true;
  if (screened.kind === 'id' && !session.asked) deps.onRefusedId('bad_signature');
  const { method, originalUrl: target, req } = ctx;
  const http: HttpRequest = { method, target, headers: req.headers, peer: req.socket.remoteAddress };
  deps.ports.set(ctx, {
    http,
    session,
    begin: (lid, data) => begin(ctx, slot, lid, data),
    logOut: () => logOut(ctx, slot),
  });
  const held = heldCookie(ctx, options);
  const back = await heldBack(http, held, session, deps);
  if (back !== null) slot.back = back.cookies;
  if (back?.location) {
    ctx.status = 303;
    ctx.set('Location', back.location);
    ctx.set('Cache-Control', 'no-store');
    return;
  }
  const answer = askGate(deps.gate, session.state, http, deps.trust);
  if (answer === 'pass') return next();
  ctx.status = answer.status;
  ctx.body = answer.body;
  for (const [name, value] of Object.entries(answer.headers)) ctx.set(name, value);
  if (!answer.clearCookie) return;
  for (const cookie of endedCookies(http, held)) ctx.append('Set-Cookie', cookie);
}

function heldCookie(ctx: KoaContext, options: KoaSessionOptions): HeldCookie {
  const key = keyOf(options);
  const maxAgeMs = typeof options.maxAge === 'number' ? options.maxAge : null;
  const names = options.signed === false ? [key] : [key, `${key}.sig`];
  const isSigned: HeldCookie['isSigned'] = (value, kept) =>
    options.signed === false || ctx.cookies.keys?.verify?.(`${key}=${value}`, kept(`${key}.sig`)) === true;
  return { names, idIn: (value) => value, isSigned, attributes: options, maxAgeMs };
}

/** Behind koa-session, which may have set or cleared the cookie of an anonymous session. */
function nameGivenBack({ res }: KoaContext, cookies: readonly string[], options: KoaSessionOptions): void {
  const before = res.getHeader('Set-Cookie') ?? [];
  const lines = Array.isArray(before) ? before : [String(before)];
  const names = [`${keyOf(options)}=`, `${keyOf(options)}.sig=`];
  const isReplaced = (line: string) => cookies.some((cookie) => cookie.split('=')[0] === line.split('=')[0]);
  const others = lines.filter((line) => !(names.some((name) => line.startsWith(name)) && isReplaced(line)));
  res.setHeader('Set-Cookie', [...others, ...cookies]);
}

/** koa-session sets the cookie to the id that it came with even where the save found that the session has moved on. */
function unname({ res }: KoaContext, session: RequestSession, options: KoaSessionOptions): void {
  const id = session.unnamable();
  const before = res.getHeader('Set-Cookie');
  if (id === null || before === undefined) return;
  const lines = Array.isArray(before) ? before : [String(before)];
  if (!lines.some((line) => line.startsWith(`${keyOf(options)}=${id}`))) return;
  const names = [`${keyOf(options)}=`, `${keyOf(options)}.sig=`];
  const others = lines.filter((line) => !names.some((name) => line.startsWith(name)));
  if (others.length > 0) res.setHeader('Set-Cookie', others);
  else res.removeHeader('Set-Cookie');
}

/** koa-session sets it as soon as it has saved; whether the answer may name that id is known at its end. */
function laterKey(externalKey: ExternalKey, slots: Attached<Slot>): ExternalKey {
  return {
    get: (ctx) => externalKey.get(ctx),
    set(ctx, id) {
      const slot = slots.get(ctx);
      if (slot === undefined) externalKey.set(ctx, id);
      else slot.key = id;
    },
  };
}

function nameOutside(ctx: object, { session, key }: Slot, externalKey: ExternalKey): void {
  const id = session.forwardTo ?? key;
  if (id !== undefined && id !== session.unnamable()) externalKey.set(ctx, id);
}

/** After koa-session, which would set the cookie to the id that it came with. */
function nameForwarded(ctx: KoaContext, id: string | null, options: KoaSessionOptions): void {
  if (id === null || ctx.sessionOptions === undefined) return;
  const { maxAge } = ctx.sessionOptions;
  ctx.cookies.set(keyOf(options), id, {
    ...ctx.sessionOptions,
    maxAge: typeof maxAge === 'number' ? maxAge : undefined,
  });
}

function begin(ctx: KoaContext, slot: Slot, lid: string, data: Readonly<Record<string, unknown>>) {
  if (ctx.session === undefined) throw missing();
  // koa-session takes `maxAge` so, and has no `cookie` of its own.
  const { maxAge, ...named } = data;
  checkData(ctx.session, named, []);
  ctx.session = { ...data }; // nothing of the old session; what koa-session regenerates keeps its data
  const { sessionId, ended } = slot.session.begin(lid);
  const session = ctx.session as Partial<KoaSession> | null;
  if (typeof session?.regenerate !== 'function') {
    throw missing();
  }
  const saved = Promise.resolve(session.regenerate()).then(() => slot.session.lastSave === 'saved');
  return { sessionId, saved: Promise.all([saved, ended]).then(([done]) => done) };
}

function logOut(ctx: KoaContext, { session }: Slot): Promise<void> {
  ctx.session = null;
  return session.logOut();
}

function missing(): BouncerError {
  return new BouncerError('session_missing', 'login: this context has no session of koa-session');
}
