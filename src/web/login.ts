import type { TrustProxy } from '../domain/forwarded.ts';
import type { AddressProblem } from '../domain/types.ts';
import { BouncerError } from '../errors.ts';
import type { Log } from '../ports.ts';
import { addressOf, type ExpressRequest, header } from './express.ts';
import { randomToken } from './handle.ts';
import type { LoginOptions, LoginReport, LoginResult } from './report.ts';
import { isBouncerStore } from './session-store.ts';

export interface LoginDeps {
  readonly trust: TrustProxy;
  readonly log: Log;
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
export async function login(req: ExpressRequest, options: LoginOptions, deps: LoginDeps): Promise<LoginResult> {
  const lid = randomToken();
  const renewed = renew(req, lid, deps.log);
  if (!isBouncerStore(req.sessionStore)) await renewed;
  const session = req.session as SessionObject;
  const sessionId = req.sessionID ?? '';
  Object.assign(session, options.data);
  const saved = store(req, session, sessionId);
  const { address, problem } = addressOf(req, deps.trust);
  const { userId, deviceId } = options;
  const userAgent = header(req, 'user-agent');
  const reported = deps.report({ userId, sessionId, address, userAgent, deviceId, lid }, problem);
  await renewed;
  return { ...(await reported), saved: await saved };
}

let warned = false;

/** With our store the new session is there at once, and the old one's end goes out ahead of what follows. */
function renew(req: ExpressRequest, lid: string, log: Log): Promise<void> {
  const session = req.session as Partial<SessionObject> | undefined;
  if (typeof session?.regenerate !== 'function') {
    throw new BouncerError(
      'session_missing',
      'login: no session on this request; mount session({ store: bouncer.store(session) }) before the login route',
    );
  }
  if (isBouncerStore(req.sessionStore)) return req.sessionStore.renew(req, lid);
  if (!warned) {
    log.error(
      { event: 'store_foreign', code: 'store_foreign' },
      'This session is not in our store: the worker cannot end it',
    );
  }
  warned = true;
  const { regenerate } = session;
  return new Promise((resolve, reject) => {
    regenerate.call(session, (error) => (error ? reject(error) : resolve()));
  });
}

async function store(req: ExpressRequest, session: SessionObject, sessionId: string): Promise<boolean> {
  const ours = req.sessionStore;
  if (isBouncerStore(ours)) return (await ours.store(sessionId, session)) === 'live';
  return new Promise((resolve) => session.save((error) => resolve(!error)));
}
