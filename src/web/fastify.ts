import { AsyncLocalStorage } from 'node:async_hooks';
import { BouncerError } from '../errors.ts';
import type { AdapterDeps } from './adapter.ts';
import { Attached } from './attached.ts';
import type { CookieAttributes } from './cookie.ts';
import { type FastifySession, type FastifySlot, fastifyStore, IDLE } from './fastify-store.ts';
import type { GateAnswer } from './gate.ts';
import { endedCookies, type HeldCookie, heldBack, holdsCookie } from './held.ts';
import { askGate, type HttpRequest } from './http.ts';
import { checkData } from './login.ts';
import { newSessionId, RequestSession } from './request-session.ts';
import { signedPart, unsignId } from './sign.ts';
import { type Screened, screenCookie } from './strict-id.ts';
import { isUpgrade } from './upgrade.ts';

export interface FastifyRequestLike {
  readonly method: string;
  readonly originalUrl: string;
  readonly protocol: string;
  readonly headers: HttpRequest['headers'];
  readonly raw: { headers: { cookie?: string | undefined }; socket: { remoteAddress?: string | undefined } };
  cookies?: Record<string, string | undefined>;
  session: unknown;
}
interface FastifyReplyLike {
  getHeader(name: string): unknown;
  removeHeader(name: string): unknown;
  code(status: number): unknown;
  header(name: string, value: unknown): unknown;
  send(body: string): unknown;
}
type Hook = (request: FastifyRequestLike, reply: FastifyReplyLike, done: (error?: Error) => void) => void;
type LateHook = (request: FastifyRequestLike, reply: FastifyReplyLike, payload: unknown, done: () => void) => void;
interface FastifyLike {
  addHook(name: string, hook: Hook | LateHook): unknown;
  register(plugin: unknown, options: object): unknown;
}
interface Signer {
  unsign(value: string): { readonly valid: boolean; readonly value: string | null };
}
interface SessionOptions {
  readonly cookieName?: string;
  readonly cookiePrefix?: string;
  readonly cookie?: CookieAttributes & { readonly maxAge?: number | null | undefined };
  readonly secret?: unknown;
  readonly algorithm?: string;
}
/**
 * @fastify/session with our store, and the gate behind it. Its store is told ids and never a request, so the request's own
 * session travels in an AsyncLocalStorage; it is entered again where Fastify's body parsing loses it, and before the save.
 */
export function fastifySessions(plugin: unknown, deps: AdapterDeps) {
  const current = new AsyncLocalStorage<FastifySlot>();
  const slots = new Attached<FastifySlot>();
  const enter: Hook = (request, _reply, done) => runIn(request, done);
  const runIn = (request: object, done: () => void) => {
    const slot = slots.get(request);
    return slot === undefined ? done() : current.run(slot, done);
  };

  const bouncer = (app: FastifyLike, options: SessionOptions, done: (error?: Error) => void) => {
    const name = options.cookieName ?? 'sessionId';
    app.addHook('onRequest', ((request, _reply, next) => {
      const screened = screen(request, name, options, deps);
      const session = new RequestSession(deps.engine, !isUpgrade(request.headers));
      const slot: FastifySlot = { session, screened, ...IDLE };
      slots.set(request, slot);
      current.run(slot, next);
    }) as Hook);
    app.addHook('preValidation', enter);
    app.addHook('onSend', ((request, _reply, _payload, next) => runIn(request, next)) as LateHook);
    app.register(plugin, {
      ...options,
      store: fastifyStore(current, deps),
      idGenerator: (request: object) => slots.get(request)?.session.makeId() ?? newSessionId(),
    });
    app.register(asSibling(gateOf(slots, name, options, deps)), {});
    done();
  };
  return asSibling(bouncer);
}

/** Fastify's own mark for a plugin whose hooks belong to the surrounding app (what fastify-plugin sets). */
function asSibling<P extends object>(plugin: P): P {
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true });
}

/** With a signer of the app's own we cannot know where in the value the id is: the store judges it alone. */
function screen(request: FastifyRequestLike, name: string, options: SessionOptions, deps: AdapterDeps): Screened {
  if (!isOurs(options)) return { kind: 'none' };
  const prefix = options.cookiePrefix ?? '';
  const idIn = (value: string) => (value.startsWith(prefix) ? signedPart(value.slice(prefix.length)) : null);
  const screened = screenCookie(request.raw.headers.cookie ?? '', name, deps.idPattern, idIn);
  if (screened.kind === 'refused') {
    deps.onRefusedId(screened.problem);
    if (request.cookies) delete request.cookies[name];
  }
  return screened;
}

function gateOf(slots: Attached<FastifySlot>, name: string, options: SessionOptions, deps: AdapterDeps) {
  const gate: Hook = (request, reply, next) => {
    const slot = slots.get(request);
    if (slot === undefined) return next();
    const { session, screened } = slot;
    session.begun = true;
    if (screened.kind === 'id' && !session.asked) deps.onRefusedId('bad_signature');
    if (slot.moving !== null) putForwarded(request.session as FastifySession, slot.moving);
    slot.moving = null;
    const http: HttpRequest = {
      method: request.method,
      target: request.originalUrl,
      headers: request.headers,
      peer: request.raw.socket.remoteAddress,
    };
    deps.ports.set(request, {
      http,
      session,
      begin: (lid, data) => begin(request, slot, lid, data),
      logOut: () => logOut(request, slot),
    });
    const held = heldCookie(request, name, options);
    const goOn = () => {
      const answer = askGate(deps.gate, session.state, http, deps.trust);
      if (answer === 'pass') return next();
      respond(slot, reply, answer, answer.clearCookie ? endedCookies(http, held) : []);
    };
    if (!holdsCookie(http)) return goOn();
    void heldBack(http, held, session, deps).then((back) => {
      const headers = { Location: back?.location ?? '', 'Cache-Control': 'no-store' };
      if (back?.location) return respond(slot, reply, { status: 303, headers, body: '' }, back.cookies);
      for (const cookie of back?.cookies ?? []) reply.header('set-cookie', cookie);
      goOn();
    });
  };
  return (app: FastifyLike, _options: object, done: () => void) => {
    app.addHook('onRequest', gate);
    // Behind @fastify/session's own, which has saved and set the cookie by then.
    app.addHook('onSend', ((request, reply, _payload, next) => {
      const slot = slots.get(request);
      if (slot !== undefined) checkCookies(reply, name, slot);
      if (!slot?.session.isLeaving) return next();
      // Here, as there may be no response to wait for: the client has perhaps gone.
      void slot.session.finish().then(() => next());
    }) as LateHook);
    // Of a reply that was hijacked: no onSend has run.
    app.addHook('onResponse', ((request, _reply, next) => {
      void slots.get(request)?.session.finish();
      next();
    }) as Hook);
    done();
  };
}

/**
 * @fastify/session sets the cookie to the id that it came with even where the save found that the session has moved on; and to
 * a fresh one where we have answered.
 */
function checkCookies(reply: FastifyReplyLike, name: string, { session, answered }: FastifySlot): void {
  const id = session.unnamable();
  if (answered === null && id === null) return;
  const before = reply.getHeader('set-cookie') ?? [];
  const isOfSession = (line: unknown) => String(line).startsWith(`${name}=`);
  const isWrong = (line: unknown) => isOfSession(line) && (answered !== null || String(line).includes(id ?? ''));
  const lines = [...(Array.isArray(before) ? before : [before]).filter((line) => !isWrong(line)), ...(answered ?? [])];
  reply.removeHeader('set-cookie');
  if (lines.length > 0) reply.header('set-cookie', lines);
}

/** The app's own hooks run all the same, and find a session: its own, or a fresh one, which goes nowhere. */
function respond(
  slot: FastifySlot,
  reply: FastifyReplyLike,
  { status, headers, body }: Pick<Exclude<GateAnswer, 'pass'>, 'status' | 'headers' | 'body'>,
  cookies: readonly string[],
): void {
  reply.code(status);
  for (const [header, value] of Object.entries(headers)) reply.header(header, value);
  slot.answered = cookies;
  slot.still = true;
  reply.send(body);
}

function heldCookie(request: FastifyRequestLike, name: string, options: SessionOptions): HeldCookie {
  const { cookie, cookiePrefix: prefix = '' } = options;
  const secure = cookie?.secure ?? true;
  const attributes = { ...cookie, secure: secure === 'auto' ? request.protocol === 'https' : secure };
  const maxAgeMs = typeof cookie?.maxAge === 'number' ? cookie.maxAge : null;
  const idIn = (value: string) => {
    if (!value.startsWith(prefix)) return null;
    return isOurs(options) ? signedPart(value.slice(prefix.length)) : unsigned(value.slice(prefix.length), options);
  };
  const isSigned = (value: string) => unsigned(value.slice(prefix.length), options) !== null;
  return { names: [name], idIn, isSigned, attributes, maxAgeMs };
}

/** As @fastify/session does it: by its secrets, or by a signer of the app's own. */
function unsigned(value: string, { secret, algorithm }: SessionOptions): string | null {
  const secrets = typeof secret === 'string' ? [secret] : secret;
  if (Array.isArray(secrets)) return unsignId(value, secrets, algorithm);
  const found = (secret as Partial<Signer> | undefined)?.unsign?.(value);
  return found?.valid ? found.value : null;
}

function isOurs({ secret }: SessionOptions): boolean {
  return typeof secret === 'string' || Array.isArray(secret);
}

function putForwarded(session: FastifySession, { cookie, ...data }: Record<string, unknown>): void {
  if (typeof cookie === 'object' && cookie !== null) session.options(cookie);
  Object.assign(session, data);
}

async function logOut(request: FastifyRequestLike, slot: FastifySlot): Promise<void> {
  const ended = slot.session.logOut();
  const before = request.session as Partial<FastifySession> | null;
  if (typeof before?.regenerate === 'function') anew(before as FastifySession, slot);
  await ended;
}

/** Another session object under another id, of which the store hears nothing. */
function anew(before: FastifySession, slot: FastifySlot): void {
  slot.still = true;
  before.regenerate(() => {});
  slot.still = false;
}

function begin(request: FastifyRequestLike, slot: FastifySlot, lid: string, data: Readonly<Record<string, unknown>>) {
  const before = request.session as Partial<FastifySession> | null;
  if (typeof before?.regenerate !== 'function') {
    throw new BouncerError(
      'session_missing',
      'login: this request has no session (another path than the cookie, or destroyed)',
    );
  }
  checkData(before, data);
  const { sessionId, ended } = slot.session.begin(lid);
  anew(before as FastifySession, slot);
  const session = request.session as FastifySession;
  Object.assign(session, data);
  const saved = new Promise<boolean>((resolve) =>
    session.save((error) => resolve(!error && slot.session.lastSave === 'saved')),
  );
  return { sessionId, saved: Promise.all([saved, ended]).then(([done]) => done) };
}
