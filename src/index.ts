/**
 * The web tier's API. Importing this loads no geo data, no worker and no web framework.
 *
 * @example
 * const bouncer = createBouncer({ redis: 'redis://localhost:6379' });
 * app.use(session({ store: bouncer.store(session), secret, resave: false, saveUninitialized: false }));
 * app.use(bouncer.gate());
 * app.post('/login', async (req, res) => {
 *   const user = await authenticate(req.body);
 *   await bouncer.login(req, { userId: user.id, data: { userId: user.id } });
 *   res.redirect('/');
 * });
 */
export { type Bouncer, type BouncerOptions, type BouncerStats, createBouncer } from './bouncer.ts';
export type { Authorized, ConsoleOptions, Role } from './desk-ports.ts';
export { BouncerError, type ErrorCode } from './errors.ts';
export type { AuditEntry, Log, LoginEntry, RevocationNotice } from './ports.ts';
export type { RedisTarget } from './redis/connection.ts';
export type { EndAllResult, EndOneOptions, EndOptions, EndOutcome, SessionAdmin } from './session-admin.ts';
export type { UserAnswersOptions } from './user-answers.ts';
export type { CookieAttributes } from './web/cookie.ts';
export type { CookieSession, CookieSessionOptions } from './web/cookie-session.ts';
export type { Frameworks } from './web/frameworks.ts';
export type { GateRequest } from './web/gate.ts';
export type { GotchaContext } from './web/gotcha.ts';
export type { GuardClientOptions } from './web/guard-client.ts';
export { sessionHandle } from './web/handle.ts';
export type { JudgedRequest, Judgement } from './web/judge.ts';
export type { Mountable } from './web/mount.ts';
export type { LoginOptions, LoginReport, LoginResult } from './web/report.ts';
export type { GuardableSocket, SocketOwner } from './web/sockets.ts';
