import type { AdapterDeps } from './adapter.ts';
import type { CookieAttributes } from './cookie.ts';
import { nameOnly } from './express-cookie.ts';
import type { ExpressRequest, ExpressResponse } from './express-types.ts';
import type { GateAnswer } from './gate.ts';
import { guardedRequest } from './guard-context.ts';
import { endedCookies, giveBack, type HeldCookie, holdsCookie } from './held.ts';
import { askGate, type HttpRequest, headerOf } from './http.ts';
import { isBouncerStore, type SessionState } from './session-store.ts';
import { signedPart, unsignId } from './sign.ts';
import { cookieNameOf, type Screened, screenCookie, withoutCookie } from './strict-id.ts';

export type { ExpressRequest, ExpressResponse } from './express-types.ts';

export type ExpressMiddleware = (req: ExpressRequest, res: ExpressResponse, next: (error?: unknown) => void) => void;

/** express-session's options, as far as we use them. */
export interface ExpressSessionOptions {
  readonly name?: string | undefined;
  readonly key?: string | undefined;
  readonly secret: unknown;
}

export function expressHttp(
  req: Pick<ExpressRequest, 'method' | 'url' | 'originalUrl' | 'headers' | 'socket'>,
): HttpRequest {
  return {
    method: req.method,
    target: req.originalUrl ?? req.url,
    headers: req.headers,
    peer: req.socket.remoteAddress,
  };
}

export type GateParts = Pick<AdapterDeps, 'gate' | 'trust' | 'log' | 'engine'>;

/** Express's middleware. */
export function expressGate(parts: GateParts, name: string | null = null): ExpressMiddleware {
  let warned = false;
  return (req, res, next) => {
    const store = req.sessionStore;
    const guarded = guardedRequest(req);
    if (!isBouncerStore(store) && (guarded === undefined || guarded.bypassed())) {
      if (!warned)
        parts.log.error(
          { event: 'gate_without_store' },
          'The gate sees no session of our store: mount it after session({ store }), which a guarded store has after context()',
        );
      warned = true;
      return next();
    }
    const settled = isBouncerStore(store) ? store.settle(req) : null;
    if (settled === null) letPass(parts, name, req, res, next);
    else settled.then(() => letPass(parts, name, req, res, next)).catch(next);
  };
}

/** What the gate goes by: the session in our store, or in a guarded one. */
function stateOf(req: ExpressRequest): SessionState | undefined {
  const store = req.sessionStore;
  return isBouncerStore(store) ? store.stateOf(req) : guardedRequest(req)?.state;
}

function lidOf(req: ExpressRequest): string {
  const store = req.sessionStore;
  return (isBouncerStore(store) ? store.lidOf(req.session as object | undefined) : guardedRequest(req)?.lid()) ?? '';
}

function letPass(parts: GateParts, name: string | null, ...[req, res, next]: Parameters<ExpressMiddleware>) {
  const state = stateOf(req);
  nameOnly(req, res, name);
  const http = expressHttp(req);
  if (state !== undefined || !holdsCookie(http)) return goOn(parts, http, state, req, res, next);
  const { engine, gate } = parts;
  const how = { loggedIn: lidOf(req) !== '', gotchaPath: gate.gotchaPath };
  void giveBack(http, heldCookie(req, []), engine, how).then((back) => {
    // express-session would set the cookie of an anonymous session after ours.
    if (back?.location) Reflect.deleteProperty(req, 'session');
    if (back !== null) append(res, back.cookies);
    if (!back?.location) return goOn(parts, http, state, req, res, next);
    res.statusCode = 303;
    res.setHeader('Location', back.location);
    res.setHeader('Cache-Control', 'no-store');
    res.end();
  });
}

function goOn(
  { gate, trust }: GateParts,
  http: HttpRequest,
  state: SessionState | undefined,
  ...[req, res, next]: Parameters<ExpressMiddleware>
): void {
  const answer = askGate(gate, state, http, trust);
  if (answer !== 'pass') return send(req, res, answer, state);
  const guarded = guardedRequest(req);
  // A body parser before us may have lost the context that a guarded store needs.
  if (guarded) guarded.run(() => next());
  else next();
}

/** express-session with our store between a look at the cookie and the gate: one middleware, in the right order. */
export function expressSessions(
  session: unknown,
  options: ExpressSessionOptions,
  deps: AdapterDeps,
): ExpressMiddleware {
  const inner = session as ExpressMiddleware;
  const name = options.name ?? options.key ?? 'connect.sid';
  const gate = expressGate(deps, name);
  return (req, res, next) => {
    const screened = screen(req, name, deps);
    inner(req, res, (error) => {
      if (error !== undefined) return next(error);
      if (screened.kind === 'id' && screened.id !== req.sessionID) countForged(req, name, options.secret, deps);
      gate(req, res, next);
    });
  };
}

/** express-session falls back to what cookie-parser has read: what is refused goes there too. */
function screen(
  req: ExpressRequest & { cookies?: object; signedCookies?: object },
  name: string,
  deps: AdapterDeps,
): Screened {
  const header = headerOf(req, 'cookie');
  if (header === '') return { kind: 'none' };
  const idIn = (value: string) => (value.startsWith('s:') ? signedPart(value.slice(2)) : null);
  const screened = screenCookie(header, name, deps.idPattern, idIn);
  if (screened.kind === 'refused') {
    deps.onRefusedId(screened.problem);
    req.headers.cookie = withoutCookie(header, name);
    for (const parsed of [req.cookies, req.signedCookies]) if (parsed) Reflect.deleteProperty(parsed, name);
  }
  return screened;
}

/** A request that did not get the id it brought: was it because of the signature? */
function countForged(req: ExpressRequest, name: string, secret: unknown, deps: AdapterDeps): void {
  const secrets = (Array.isArray(secret) ? secret : [secret]).filter((each) => typeof each === 'string');
  if (secrets.length === 0) return;
  const idIn = (value: string) => unsignId(value.slice(2), secrets);
  if (screenCookie(headerOf(req, 'cookie'), name, deps.idPattern, idIn).kind !== 'id')
    deps.onRefusedId('bad_signature');
}

function send(
  req: ExpressRequest,
  res: ExpressResponse,
  answer: Exclude<GateAnswer, 'pass'>,
  state: SessionState | undefined,
): void {
  res.statusCode = answer.status;
  for (const [name, value] of Object.entries(answer.headers)) res.setHeader(name, value);
  if (answer.clearCookie && state?.revoked) {
    const name = cookieNameOf(headerOf(req, 'cookie'), state.revoked.sessionId);
    if (name !== null) append(res, endedCookies(expressHttp(req), heldCookie(req, [name])));
  }
  res.end(answer.body);
}

function append(res: ExpressResponse, cookies: readonly string[]): void {
  const before = res.getHeader('Set-Cookie');
  res.setHeader('Set-Cookie', [...(Array.isArray(before) ? before : before ? [String(before)] : []), ...cookies]);
}

/**
 * The name is the one under which this request brought the session id; the attributes are those of the fresh session that
 * took its place.
 */
function heldCookie(req: ExpressRequest, names: readonly string[]): HeldCookie {
  const { cookie = {} } = (req.session ?? {}) as { cookie?: CookieAttributes & { originalMaxAge?: unknown } };
  const { originalMaxAge } = cookie;
  return { names, attributes: cookie, maxAgeMs: typeof originalMaxAge === 'number' ? originalMaxAge : null };
}
