import { BouncerError } from '../errors.ts';
import type { Log } from '../ports.ts';
import type { AdapterDeps } from './adapter.ts';
import type { CookieAttributes } from './cookie.ts';
import { nameOnly } from './express-cookie.ts';
import type { ExpressRequest, ExpressResponse } from './express-types.ts';
import type { GateAnswer } from './gate.ts';
import { guardedRequest } from './guard-context.ts';
import { endedCookies, giveBack, type HeldCookie, holdsCookie, idInSigned } from './held.ts';
import { askGate, type HttpRequest, headerOf } from './http.ts';
import { isBouncerStore, type SessionState } from './session-store.ts';
import { unsignId } from './sign.ts';
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

export type GateParts = Pick<AdapterDeps, 'gate' | 'trust' | 'log' | 'engine' | 'idPattern' | 'onRefusedId'>;

/** The session cookie, where we mount express-session ourselves. */
type KnownCookie = Pick<ExpressSessionOptions, 'secret'> & { readonly name: string };

/**
 * `gate()` of the bouncer. It makes the middleware and is none: `app.use(bouncer.gate)` would leave each request without an
 * answer.
 */
export function gateMaker(parts: GateParts): () => ExpressMiddleware {
  return (...given: unknown[]) => {
    if (given.length < 3) return expressGate(parts);
    throw new BouncerError('option_invalid', 'gate: mount what it returns: app.use(bouncer.gate())');
  };
}

/** Express's middleware. */
function expressGate(parts: GateParts, known: KnownCookie | null = null): ExpressMiddleware {
  const told = new Set<string>();
  return (req, res, next) => {
    const store = req.sessionStore;
    const guarded = guardedRequest(req);
    if (!isBouncerStore(store) && (guarded === undefined || guarded.bypassed())) {
      tellMissing(parts.log, store !== undefined, known !== null, told);
      return next();
    }
    const settled = isBouncerStore(store) ? store.settle(req) : null;
    if (settled === null) letPass(parts, known, req, res, next);
    else settled.then(() => letPass(parts, known, req, res, next)).catch(next);
  };
}

/** Once each. Outside the path of its cookie express-session leaves a request without a session: that harms nobody. */
function tellMissing(log: Log, isForeign: boolean, isMounted: boolean, told: Set<string>): void {
  const level = isForeign ? 'error' : 'warn';
  if ((isMounted && !isForeign) || told.has(level)) return;
  told.add(level);
  const mount = 'mount it after session({ store }), which a guarded store has after context()';
  const cause = isForeign
    ? 'the store is another one'
    : "it is not mounted, or this request is outside the cookie's path";
  log[level]({ event: 'gate_without_store' }, `The gate sees no session of our store (${cause}): ${mount}`);
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

function letPass(parts: GateParts, known: KnownCookie | null, ...[req, res, next]: Parameters<ExpressMiddleware>) {
  // A socket begins, as in ws's own example: there is nothing to answer with. Whose it is, guardSocket asks.
  const state = stateOf(req);
  if (typeof res.setHeader !== 'function') {
    // That an old id came back the gate tells all the same.
    if (state?.revoked?.tombstone.reused !== undefined) askGate(parts.gate, state, expressHttp(req), parts.trust);
    return next();
  }
  nameOnly(req, res, known?.name ?? null);
  const http = expressHttp(req);
  if (state !== undefined || !holdsCookie(http)) return askOrPass(parts, known, http, state, req, res, next);
  const how = { loggedIn: lidOf(req) !== '', gotchaPath: parts.gate.gotchaPath };
  giveBack(http, heldCookie(req, known), parts, how)
    .then((back) => {
      // express-session would set the cookie of an anonymous session after ours.
      if (back?.location) Reflect.deleteProperty(req, 'session');
      if (back !== null) append(res, back.cookies);
      if (!back?.location) return askOrPass(parts, known, http, state, req, res, next);
      res.statusCode = 303;
      res.setHeader('Location', back.location);
      res.setHeader('Cache-Control', 'no-store');
      res.end();
    })
    .catch(next);
}

function askOrPass(
  { gate, trust }: GateParts,
  known: KnownCookie | null,
  http: HttpRequest,
  state: SessionState | undefined,
  ...[req, res, next]: Parameters<ExpressMiddleware>
): void {
  const answer = askGate(gate, state, http, trust);
  if (answer !== 'pass') return send(req, res, answer, state, known);
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
  const gate = expressGate(deps, { name, secret: options.secret });
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
  const screened = screenCookie(header, name, deps.idPattern, idInSigned);
  if (screened.kind === 'refused') {
    deps.onRefusedId(screened.problem);
    req.headers.cookie = withoutCookie(header, name);
    for (const parsed of [req.cookies, req.signedCookies]) if (parsed) Reflect.deleteProperty(parsed, name);
  }
  return screened;
}

/** A request that did not get the id it brought: was it because of the signature? */
function countForged(req: ExpressRequest, name: string, secret: unknown, deps: AdapterDeps): void {
  const secrets = secretsOf(req, secret);
  if (secrets.length === 0) return;
  const idIn = (value: string) => unsignId(value.slice(2), secrets);
  if (screenCookie(headerOf(req, 'cookie'), name, deps.idPattern, idIn).kind !== 'id')
    deps.onRefusedId('bad_signature');
}

/** None where the app has another kind of them. */
function secretsOf(req: ExpressRequest, secret: unknown): string[] {
  const given = secret ?? req.secret;
  return (Array.isArray(given) ? given : [given]).filter((each) => typeof each === 'string');
}

function send(
  req: ExpressRequest,
  res: ExpressResponse,
  answer: Exclude<GateAnswer, 'pass'>,
  state: SessionState | undefined,
  known: KnownCookie | null,
): void {
  res.statusCode = answer.status;
  for (const [name, value] of Object.entries(answer.headers)) res.setHeader(name, value);
  if (answer.clearCookie && state?.revoked) {
    const name = known?.name ?? cookieNameOf(headerOf(req, 'cookie'), state.revoked.sessionId);
    if (name !== null) append(res, endedCookies(expressHttp(req), { ...heldCookie(req, known), names: [name] }));
  }
  res.end(answer.body);
}

function append(res: ExpressResponse, cookies: readonly string[]): void {
  const before = res.getHeader('Set-Cookie');
  res.setHeader('Set-Cookie', [...(Array.isArray(before) ? before : before ? [String(before)] : []), ...cookies]);
}

/** The attributes are those of the fresh session that took the ended one's place. */
function heldCookie(req: ExpressRequest, known: KnownCookie | null): HeldCookie {
  const { cookie = {} } = (req.session ?? {}) as { cookie?: CookieAttributes & { originalMaxAge?: unknown } };
  const { originalMaxAge } = cookie;
  const secrets = known === null ? [] : secretsOf(req, known.secret);
  // Without a secret of its own we only see that it is signed: express-session will say by whom.
  const isSigned = (value: string) => secrets.length === 0 || unsignId(value.slice(2), secrets) !== null;
  return {
    names: known === null ? [] : [known.name],
    ownId: req.sessionID,
    idIn: idInSigned,
    isSigned,
    attributes: cookie,
    maxAgeMs: typeof originalMaxAge === 'number' ? originalMaxAge : null,
  };
}
