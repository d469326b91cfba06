import type { TrustProxy } from '../domain/forwarded.ts';
import type { AddressProblem } from '../domain/types.ts';
import { BouncerError } from '../errors.ts';
import type { Log } from '../ports.ts';
import { type ExpressRequest, expressHttp } from './express.ts';
import { type GuardedRequest, guardedRequest } from './guard-context.ts';
import { loginId } from './handle.ts';
import { clientOf, type HttpRequest, headerOf } from './http.ts';
import type { LoginOptions, LoginReport, LoginResult } from './report.ts';
import type { RequestPort, RequestPorts } from './request-session.ts';
import { isBouncerStore } from './session-store.ts';

export interface LoginDeps {
  readonly trust: TrustProxy;
  readonly log: Log;
  /** The requests that came through an adapter other than Express's. */
  readonly ports: RequestPorts;
  /** See `proxyWatch`. */
  watchProxy(http: HttpRequest): void;
  report(report: LoginReport, problem?: AddressProblem): Promise<LoginResult>;
}

interface SessionObject {
  regenerate(done: (error?: unknown) => void): void;
  save(done: (error?: unknown) => void): void;
}

/**
 * New session id, lid, save, enqueue: in that order on one connection, and then one wait for both. If the process dies
 * in between, there is a session that was not checked or a check of a session that was never stored; neither harms.
 */
export async function login(request: object, options: LoginOptions, deps: LoginDeps): Promise<LoginResult> {
  if (typeof options !== 'object' || options === null) {
    throw new BouncerError('option_invalid', 'login: give the request and an object with at least `userId`');
  }
  const lid = loginId(options.userId);
  const port = deps.ports.get(request);
  if (port !== undefined) return loginBy(port, lid, options, deps);
  const req = request as ExpressRequest;
  checkData(req.session, options.data);
  const guarded = guardedRequest(req);
  const renewed = renew(req, lid, deps.log, guarded);
  if (!isBouncerStore(req.sessionStore)) await renewed;
  const session = req.session as SessionObject;
  const sessionId = req.sessionID ?? '';
  Object.assign(session, options.data);
  const saved = store(req, session, sessionId, guarded);
  const reported = tell(expressHttp(req), lid, sessionId, options, deps);
  await renewed;
  return { ...(await reported), saved: await saved };
}

/**
 * A session middleware keeps names for itself (express-session `id`, say, which many a user object has). It would throw half way
 * through, or only at the end of the response. Before anything is done.
 */
export function checkData(session: unknown, data: unknown, kept: readonly string[] = ['cookie']): void {
  if (typeof session !== 'object' || session === null || typeof data !== 'object' || data === null) return;
  const methods: object = Object.getPrototypeOf(session) ?? {};
  const own = (name: string) => Object.getOwnPropertyDescriptor(session, name)?.enumerable === false;
  const taken = Object.keys(data).find((name) => kept.includes(name) || name in methods || own(name));
  if (taken === undefined) return;
  throw new BouncerError('option_invalid', `data: the session keeps the name ${taken} for itself; give another one`);
}

async function loginBy(port: RequestPort, lid: string, options: LoginOptions, deps: LoginDeps): Promise<LoginResult> {
  const { sessionId, saved } = port.begin(lid, options.data ?? {});
  const reported = tell(port.http, lid, sessionId, options, deps);
  const stored = await saved;
  return { ...(await reported), saved: stored };
}

function tell(http: HttpRequest, lid: string, sessionId: string, options: LoginOptions, deps: LoginDeps) {
  deps.watchProxy(http);
  const { address, problem } = clientOf(http, deps.trust);
  const { userId, deviceId } = options;
  const userAgent = headerOf(http, 'user-agent');
  return deps.report({ userId, sessionId, address, userAgent, deviceId, lid, list: true }, problem);
}

let warned = false;

/** With our store the new session is there at once, and the old one's end goes out ahead of what follows. */
function renew(req: ExpressRequest, lid: string, log: Log, guarded?: GuardedRequest): Promise<void> {
  const session = req.session as Partial<SessionObject> | undefined;
  if (typeof session?.regenerate !== 'function') {
    throw new BouncerError(
      'session_missing',
      'login: no session on this request; mount session({ store: bouncer.store(session) }) before the login route',
    );
  }
  if (isBouncerStore(req.sessionStore)) return req.sessionStore.renew(req, lid);
  if (guarded) guarded.newLid = lid;
  else if (!warned) {
    warned = true;
    log.error(
      { event: 'store_foreign', code: 'store_foreign' },
      'This session is not in our store: the worker cannot end it',
    );
  }
  const { regenerate } = session;
  return new Promise((resolve, reject) => {
    const start = () => regenerate.call(session, (error) => (error ? reject(error) : resolve()));
    if (guarded) guarded.run(start);
    else start();
  });
}

async function store(
  req: ExpressRequest,
  session: SessionObject,
  sessionId: string,
  guarded?: GuardedRequest,
): Promise<boolean> {
  const ours = req.sessionStore;
  if (isBouncerStore(ours)) return (await ours.store(sessionId, session)) === 'live';
  const save = () => new Promise<boolean>((resolve) => session.save((error) => resolve(!error)));
  const saved = await (guarded ? guarded.run(save) : save());
  // A guarded store answers a refused save like a successful one; its entry knows.
  return guarded?.reached ? guarded.entries.get(sessionId)?.first === false : saved;
}
