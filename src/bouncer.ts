import type { Redis } from 'ioredis';
import { caseOf } from './case-of.ts';
import type { ConsoleOptions } from './desk-ports.ts';
import { compileTrust, type TrustProxy } from './domain/forwarded.ts';
import { loginPath, openPath } from './domain/gate.ts';
import type { AddressProblem, LoginEvent } from './domain/types.ts';
import { BouncerError, errorName } from './errors.ts';
import { defaultLog } from './log.ts';
import type { Audit, Clock, Log, Refusal, Registry, RevocationNotice, Sessions } from './ports.ts';
import { firstField, loginEventSchema } from './queue/job.ts';
import { loginQueue } from './queue/login-queue.ts';
import { Producer } from './queue/producer.ts';
import { RECHECK_DELAYS_MS, rechecked, recheckQueue } from './queue/rechecks.ts';
import { redisAudit } from './redis/audit.ts';
import { eachConnection, openWebRedis, type RedisTarget } from './redis/connection.ts';
import { redisSessions } from './redis/ender.ts';
import { redisIncidents } from './redis/incidents.ts';
import { type Keys, keysFor, LOGIN_QUEUE, RECHECK_QUEUE } from './redis/keys.ts';
import { redisLogins } from './redis/logins.ts';
import { redisRegistry } from './redis/registry.ts';
import { serverClock } from './redis/server-time.ts';
import { guardedSessions } from './redis/sessions.ts';
import { revocationFeed } from './redis/subscriber.ts';
import { Releasers } from './release.ts';
import { type SessionAdmin, type SessionAdminDeps, sessionAdmin } from './session-admin.ts';
import { checkUserAnswersOptions, openUserAnswers, type UserAnswersOptions } from './user-answers.ts';
import { Attached } from './web/attached.ts';
import { type EngineDeps, SessionEngine } from './web/engine.ts';
import { type ExpressRequest, type ExpressResponse, gateMaker } from './web/express.ts';
import { type Frameworks, frameworks } from './web/frameworks.ts';
import { Gate, type GateRequest, type Reuse } from './web/gate.ts';
import { type GotchaContext, gotchaPage } from './web/gotcha.ts';
import { StockGuard } from './web/guard.ts';
import { type GuardClientOptions, guardClient } from './web/guard-client.ts';
import { guardContext } from './web/guard-context.ts';
import { clientOf } from './web/http.ts';
import { login } from './web/login.ts';
import { MARK_TTL_MS } from './web/logout.ts';
import { type Mountable, mountable } from './web/mount.ts';
import { checkConsoleOptions, checkOptions, unknownOptions } from './web/options.ts';
import { eventOf, type LoginOptions, type LoginReport, type LoginResult } from './web/report.ts';
import type { RequestPorts } from './web/request-session.ts';
import { createSessionStore, storeClassOf } from './web/session-store.ts';
import { type GuardableSocket, type SocketIoSocket, type SocketOwner, Sockets } from './web/sockets.ts';
import { ID_PATTERN, type IdProblem } from './web/strict-id.ts';
import { proxyWatch } from './web/untrusted-proxy.ts';
import { whose } from './web/whose.ts';

export interface BouncerOptions {
  /** A URL, ioredis options, or an ioredis instance (duplicated, never used or closed itself). */
  readonly redis: RedisTarget;
  /** Every key begins with it; the same in the worker. Letters, digits, `-` and `_`. Default `bouncer`. */
  readonly prefix?: string | undefined;
  /**
   * The proxies in front of this app: addresses, CIDRs, `loopback` or `private`; or how many there are, where their
   * addresses are not known (over a Unix socket a proxy has none). The forwarding header is read from the right and
   * believed only as far as these wrote it. Default none: the address is the connection's own.
   */
  readonly trustProxy?: number | readonly string[] | undefined;
  /**
   * The one header that these proxies write: `x-forwarded-for` (default), `forwarded` (RFC 7239), or any other name for a
   * header that holds the client's address alone, e.g. `cf-connecting-ip`. No other header is looked at.
   */
  readonly forwardedHeader?: string | undefined;
  readonly session?: {
    /** Life of a session whose cookie says none, seconds without a request. Default one day. */
    readonly ttlSeconds?: number | undefined;
    /** No session lives longer, however busy (unless its first cookie does), seconds. Default 30 days. */
    readonly absoluteTtlSeconds?: number | undefined;
    /** An unmodified request renews the time to live only when this part of it has gone, 0 to 1. Default 0.1. */
    readonly renewAfter?: number | undefined;
    /** The ids that your session middleware issues, where you have it make its own: others never reach Redis. */
    readonly idPattern?: RegExp | undefined;
  };
  /**
   * Gives a session's id a new value about once in `everyRequests` requests (data and login stay; XHR included), so that
   * a stolen id soon betrays itself. Default off. New ids are 24 random bytes, whatever `genid` says.
   */
  readonly rotate?: { readonly everyRequests: number } | undefined;
  readonly gotcha?: {
    /** Where bounced pages are sent; served by `gate()`. A path of this app. Default `/gotcha`. */
    readonly path?: string | undefined;
    /** A page of your own instead; `case=` is added to its query. */
    readonly url?: string | undefined;
    /** Where the owner signs in again: a path or an http(s) URL. Always reachable, nothing below it. Default `/login`. */
    readonly loginUrl?: string | undefined;
    /** Your own HTML in place of ours. */
    readonly render?: ((context: GotchaContext) => string) | undefined;
  };
  /**
   * Paths that stay reachable with a revoked session, on a fresh one: exact, or prefixes that end in `/` (`/` itself is the
   * home page only). A query is left out; a `/` at the end of a request's path makes no difference. Upper and lower case
   * do, also where the framework's routes take both: another spelling is bounced, and nobody needs it.
   */
  readonly openPaths?: readonly string[] | undefined;
  /** While Redis is away: should this request get 503 (true) or go on as anonymous (false)? Default: always go on. */
  readonly needsUser?: ((request: GateRequest) => boolean) | undefined;
  /** How long `login` and `reportLogin` wait for the queue, milliseconds, up to 600,000. Default 250. */
  readonly enqueueTimeoutMs?: number | undefined;
  /** How many logins may wait in memory while Redis is away, 1 to 1,000,000. Default 10,000 (about 5 MB). */
  readonly maxWaitingLogins?: number | undefined;
  /** A Redis command without an answer fails after this, milliseconds. Default 1000. */
  readonly redisTimeoutMs?: number | undefined;
  /** A pino logger, or anything with its four methods. Default: pino at `warn` to standard error. */
  readonly log?: Log | undefined;
  readonly clock?: Clock | undefined;
}

/** Since the start of this process. */
export interface BouncerStats {
  readonly queued: number;
  readonly waiting: number;
  readonly dropped: number;
  readonly rejected: number;
  /** Requests that were bounced. */
  readonly bounced: number;
  /** Logins that could not be noted in the registry: they are checked, but not listed. */
  readonly unlisted: number;
  /** What was refused: writes of sessions (`save:revoked`, `save:unavailable`), and ids (`id:deleted`, `id:duplicate`). */
  readonly refused: Readonly<Record<string, number>>;
}

/** express-session's module, as far as we use it. */
interface SessionModule<S> {
  readonly Store: abstract new () => S;
}

export interface Bouncer extends Frameworks {
  /** The session store for express-session: `session({ store: bouncer.store(session), ... })`. */
  store<S>(session: SessionModule<S>): S;
  /** Express middleware, after `session(...)`: lets a request pass or bounces it to the gotcha page. */
  gate(): (req: ExpressRequest, res: ExpressResponse, next: (error?: unknown) => void) => void;
  /**
   * To keep a stock connect-redis: a client for it (`new RedisStore({ client: bouncer.guardClient(client) })`) under which
   * its sessions are ours, dead when they are dead. Needs `context()`, mounted right before `session(...)`.
   */
  guardClient<T extends object>(client: T, options?: GuardClientOptions): T;
  /** Express middleware for `guardClient`: tells which of the store's calls belong to one request. */
  context(): ReturnType<typeof guardContext>;
  /**
   * In the login handler, when the user has authenticated: gives the session a new id (against session fixation, OWASP
   * ASVS 7.2.4), puts `data` into it, saves it and reports the login. Waits at most for Redis's timeout and the
   * enqueue's, and throws only where there is no session at all (`session_missing`), and where `data` has a name that the
   * session middleware keeps for itself (`option_invalid`).
   */
  login(req: object, options: LoginOptions): Promise<LoginResult>;
  /** The same without a framework. Never throws; settles within `enqueueTimeoutMs`. */
  reportLogin(report: LoginReport): Promise<LoginResult>;
  /** The client's address, as far as trusted proxies vouch for it. */
  clientAddress(request: { peer: string | undefined; headers: ExpressRequest['headers'] }): string | null;
  /**
   * Calls the listener in this process whenever a login has ended, anywhere. At least once each, so it must bear a repeat;
   * one that throws is logged. `watching` gives the logins that matter to it (those in its cache, say): after a lost
   * connection they are looked up, so that none is missed. Returns the way to stop. Opens a connection at first use.
   */
  on(
    event: 'revoked',
    listener: (notice: RevocationNotice) => unknown,
    options?: { watching?: (() => Iterable<string>) | undefined },
  ): () => void;
  /**
   * Closes this socket of `ws` (code 4401) or socket.io when the login of its upgrade request's session ends. Resolves
   * false when it has ended already, or when nobody can say: the socket is closed then. `request`: one that the session
   * middleware has seen, or instead of it `{ lid }` (as `judge` tells it) or `{ sessionId }` (from the cookie, its signature
   * checked). For socket.io in Express it may be left out.
   */
  guardSocket(socket: GuardableSocket, request?: object | SocketOwner): Promise<boolean>;
  /** A user's sessions: list them, end one, all, or all but one. */
  readonly sessions: SessionAdmin;
  /** Who ended which sessions, newest first. */
  readonly audit: Pick<Audit, 'list'>;
  /**
   * The review desk, to mount in this app: `app.use('/desk', bouncer.console({ authorize }).express())`, and the like for
   * fastify, koa, hono and bare Node. Loaded at its first request, with a connection of its own.
   */
  console(options: ConsoleOptions): Mountable;
  /**
   * The page behind the links of "Was this you?" mails, to mount at the URL that the workers put into them, before the gate:
   * `app.use('/was-this-you', bouncer.userAnswers({ secrets }).express())`. See docs/notifications.md.
   */
  userAnswers(options: UserAnswersOptions): Mountable;
  stats(): BouncerStats;
  /** Sends what waits (at most 5 seconds), then closes the connection. */
  close(): Promise<void>;
}

const CLOSE_TIMEOUT_MS = 5000;

/** The web tier's half: a session store, a gate, and the login's way to the worker. Loads no geo data. */
export function createBouncer(options: BouncerOptions): Bouncer {
  checkOptions(options);
  const log = options.log ?? defaultLog('warn');
  const clock = options.clock ?? Date.now;
  const releasers = new Releasers(log);
  const trust = compileTrust(options.trustProxy ?? [], options.forwardedHeader);
  warnOf(options, trust, log);
  const keys = keysFor(options.prefix ?? 'bouncer');

  const redis = openWebRedis(options.redis, options.redisTimeoutMs ?? 1000, log);
  releasers.add('redis', () => redis.disconnect());
  const producer = openProducer(options, redis, keys, log, releasers);
  const counts = { rejected: 0, bounced: 0, unlisted: 0, refused: {} as Record<string, number> };
  const registry = redisRegistry(redis, keys);
  const { absoluteTtlMs } = sessionTimes(options);
  const gate = openGate(options, redis, keys, { registry, producer, clock, log, counts });
  const report = reporter({ producer, registry, absoluteTtlMs, clock, log, counts });

  const sessions = redisSessions(redis, keys, Math.max(MARK_TTL_MS, absoluteTtlMs));
  const ender = openEnder(sessions, redis, keys, log, releasers);
  const refused = (name: string) => {
    counts.refused[name] = (counts.refused[name] ?? 0) + 1;
  };
  const onRefusedId = (problem: IdProblem) => refused(`id:${problem}`);
  const idPattern = options.session?.idPattern ?? ID_PATTERN;
  const logins = redisLogins(redis, keys);
  const ports: RequestPorts = new Attached();
  const engine = new SessionEngine({
    ...sessionTimes(options),
    sessions: guardedSessions(redis, keys),
    logins,
    ...clocksOf(redis, clock, log),
    log,
    idPattern,
    onRefusedId,
    onRefused: ({ operation, outcome }: Refusal) => refused(`${operation}:${outcome}`),
    ...endsOf(sessions, ender, clock, log),
  });

  endLateLogouts(engine, redis, releasers);
  const guard = new StockGuard({ engine, absoluteTtlMs, log });
  const watchProxy = proxyWatch(trust, log);

  return {
    store: <S>(session: SessionModule<S>) => createSessionStore(storeClassOf(session, 'store'), engine) as S,
    gate: gateMaker({ gate, trust, log, engine, idPattern, onRefusedId }),
    guardClient: (client, how) => guardClient(client, guard, how?.prefix ?? 'sess:'),
    context: () => guardContext(),
    ...frameworks({ engine, gate, trust, log, ports, idPattern, onRefusedId, logins, guard }),
    login: (req, how) => login(req, how, { trust, log, ports, report, watchProxy }),
    reportLogin: (given) => report(given),
    clientAddress: (request) => clientOf(request, trust).address,
    ...openNews(redis, keys, { ports, engine, registry, producer, clock, log, releasers }),
    ...openAdmin(redis, keys, { registry, sessions: ender, absoluteTtlMs, clock, log }),
    console: (how) => openConsole(how, options, { keys, clock, log, releasers }),
    userAnswers: (how) => openAnswers(how, options, { keys, clock, log, releasers }),
    stats: () => ({ ...producer.counts(), ...counts, refused: { ...counts.refused } }),
    close: () => releasers.run(),
  };
}

/** A clock that was given in place of this host's is kept to. */
function clocksOf(redis: Redis, clock: Clock, log: Log): Pick<EngineDeps, 'clock' | 'sharedClock'> {
  return { clock, sharedClock: clock === Date.now ? serverClock(redis, clock, log) : undefined };
}

function endLateLogouts(engine: SessionEngine, redis: Redis, releasers: Releasers): void {
  eachConnection(redis, (one) => one.on('ready', () => void engine.endLate()));
  releasers.add('late logouts', () => engine.close());
}

/** What may be meant, and mostly is not. */
function warnOf(options: BouncerOptions, trust: TrustProxy, log: Log): void {
  const unknown = unknownOptions(options);
  if (unknown.length > 0) log.warn({ event: 'option_unknown', options: unknown }, 'Options of no such name do nothing');
  if (trust.trustsAll)
    log.warn({ event: 'trusts_all_proxies' }, 'trustProxy trusts every address: clients can choose their own');
}

/** What the web tier itself ends is re-checked too. It does not wait for replicas: the worker's re-checks do. */
function openEnder(sessions: Sessions, redis: Redis, keys: Keys, log: Log, releasers: Releasers): Sessions {
  const names = { queue: RECHECK_QUEUE, prefix: keys.queuePrefix };
  const rechecks = recheckQueue(redis, names, RECHECK_DELAYS_MS, log);
  releasers.add('recheck queue', () => rechecks.close());
  return rechecked(sessions, rechecks, log);
}

function openGate(
  options: BouncerOptions,
  redis: Redis,
  keys: Keys,
  deps: ReuseDeps & { readonly counts: { bounced: number } },
): Gate {
  const { clock, log, counts } = deps;
  return new Gate(gateOptions(options), {
    incidents: redisIncidents(redis, keys, VISITS_TTL_MS),
    clock,
    log,
    onBounced: () => {
      counts.bounced += 1;
    },
    onReused: (reuse) => void tellReuse(reuse, deps),
  });
}

function openAdmin(
  redis: Redis,
  keys: Keys,
  deps: Pick<SessionAdminDeps, 'registry' | 'sessions' | 'absoluteTtlMs' | 'clock' | 'log'>,
): Pick<Bouncer, 'sessions' | 'audit'> {
  const audit = redisAudit(redis, keys);
  const guarded = guardedSessions(redis, keys);
  const sessions = sessionAdmin({ ...deps, guarded, logins: redisLogins(redis, keys), audit, caseOf });
  const list = async (limit: number) => {
    if (Number.isSafeInteger(limit) && limit >= 1) return audit.list(limit);
    throw new BouncerError('option_invalid', 'limit: give a whole number from 1, of the newest entries');
  };
  return { sessions, audit: { list } };
}

interface ConsoleParts {
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Log;
  readonly releasers: Releasers;
}

/** A slow page of the desk must not hold up the app: it has its own connection, and more patience. */
const DESK_TIMEOUT_MS = 3000;

/** A web process that mounts no console loads none of it. */
function openConsole(how: ConsoleOptions, options: BouncerOptions, parts: ConsoleParts): Mountable {
  checkConsoleOptions(how);
  return mountable(async () => {
    const [{ mountedConsole }, { desk }] = await Promise.all([
      import('./console/mounted.ts'),
      loadDesk(options, parts),
    ]);
    return mountedConsole(how, { desk, ...parts });
  }, parts.log);
}

function openAnswers(how: UserAnswersOptions, options: BouncerOptions, parts: ConsoleParts): Mountable {
  checkUserAnswersOptions(how);
  return mountable(async () => openUserAnswers({ ...(await loadDesk(options, parts)), ...parts }, how), parts.log);
}

async function loadDesk(options: BouncerOptions, { keys, clock, log, releasers }: ConsoleParts) {
  const { openDesk } = await import('./desk.ts');
  const redis = openWebRedis(options.redis, DESK_TIMEOUT_MS, log);
  releasers.add('desk redis', () => redis.disconnect());
  const { absoluteTtlMs } = sessionTimes(options);
  const desk = openDesk({ redis, keys, clock, log, absoluteTtlMs });
  releasers.add('desk', () => desk.close());
  return { redis, desk };
}

/** The news of ended logins, and the sockets that are closed on it. */
function openNews(
  redis: Redis,
  keys: Keys,
  deps: ReuseDeps & { readonly ports: RequestPorts; engine: SessionEngine; releasers: Releasers },
): Pick<Bouncer, 'on' | 'guardSocket'> {
  const { ports, engine, log, releasers } = deps;
  const news = revocationFeed(redis, keys, { log });
  releasers.add('news', () => news.close());
  const identify = (request: object) => whose(request, ports);
  const onReused = (one: { lid: string; handle: string }) =>
    void tellReuse({ ...one, address: null, userAgent: '' }, deps);
  const sockets = new Sockets({ news, logins: redisLogins(redis, keys), identify, engine, onReused, log });
  return {
    on: (_event, listener, how) => news.listen(listener, how?.watching),
    guardSocket: (socket, request) => sockets.guard(socket, request ?? (socket as SocketIoSocket).request ?? {}),
  };
}

function openProducer(options: BouncerOptions, redis: Redis, keys: Keys, log: Log, releasers: Releasers): Producer {
  const queue = loginQueue(redis, { queue: LOGIN_QUEUE, prefix: keys.queuePrefix }, log);
  releasers.add('queue', () => queue.close());
  const producer = new Producer({
    add: queue.add,
    log,
    timeoutMs: options.enqueueTimeoutMs ?? 250,
    maxWaiting: options.maxWaitingLogins ?? 10_000,
  });
  releasers.add('producer', () => producer.close(CLOSE_TIMEOUT_MS));
  redis.on('ready', () => producer.wake());
  return producer;
}

interface ReporterDeps {
  readonly producer: Producer;
  readonly registry: Pick<Registry, 'add'>;
  readonly absoluteTtlMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly counts: { rejected: number; unlisted: number };
}

/** Checks a report and hands it on. What is not valid is refused with a code; its text is neither kept nor logged. */
function reporter({ producer, registry, absoluteTtlMs, clock, log, counts }: ReporterDeps) {
  /** In the same go as the enqueue and the save, never waited for: the login goes on without it. */
  const list = (event: LoginEvent) => {
    const nowMs = clock();
    registry.add(event, nowMs, nowMs + absoluteTtlMs).catch((error: unknown) => {
      counts.unlisted += 1;
      log.debug({ event: 'registry_failed', error: errorName(error) }, 'A login could not be noted in the registry');
    });
  };
  return async (given: LoginReport, problem?: AddressProblem): Promise<LoginResult> => {
    const event = loginEventSchema.safeParse(eventOf(given, clock(), problem));
    if (event.success) {
      if (event.data.listed) list(event.data);
      return { lid: event.data.lid, status: await producer.report(event.data) };
    }
    counts.rejected += 1;
    const field = firstField(event.error) ?? undefined;
    log.error(
      { event: 'login_rejected', code: 'login_invalid', field },
      'A login report was not valid; it is not checked',
    );
    return { lid: '', status: 'rejected', field };
  };
}

/** What a request itself ends. */
function endsOf(sessions: Sessions, ender: Sessions, clock: Clock, log: Log) {
  return {
    onReused: (reuse: { lid: string; handle: string }) => endReused(ender, reuse, clock, log),
    onLogout: (login: { lid: string; handle: string }) => endLoggedOut(sessions, login, clock),
  };
}

/** No re-checks: what Redis forgets of a logout is told to nobody as a loss, and they would be three jobs a logout. */
async function endLoggedOut(sessions: Sessions, login: { lid: string; handle: string }, clock: Clock): Promise<void> {
  const [ended] = await sessions.revoke([{ ...login, reason: 'logout', caseId: 'NONE', atMs: clock() }]);
  if (ended instanceof Error) throw ended;
}

/** Two parties hold one login: whoever is the thief, it ends for both, and the owner signs in again. */
async function endReused(
  sessions: Sessions,
  { lid, handle }: { lid: string; handle: string },
  clock: Clock,
  log: Log,
): Promise<void> {
  const caseId = caseOf(lid, 'session_reused');
  const [ended] = await sessions.revoke([{ lid, handle, reason: 'session_reused', caseId, atMs: clock() }]);
  if (ended instanceof Error) throw ended;
  log.warn({ event: 'session_reused', case: caseId }, 'An old session id came back: the whole login was ended');
}

interface ReuseDeps {
  readonly registry: Pick<Registry, 'find'>;
  readonly producer: Producer;
  readonly clock: Clock;
  readonly log: Log;
}

/** To the worker, which locates the address and records the incident. The login itself has ended before. */
async function tellReuse({ lid, handle, address, userAgent }: Reuse, deps: ReuseDeps): Promise<void> {
  const { registry, producer, clock, log } = deps;
  const caseId = caseOf(lid, 'session_reused');
  try {
    const loginAtMs = clock();
    const userId = (await registry.find(lid, loginAtMs))?.userId;
    const from = { address, ...(address === null ? { addressProblem: 'no_address' } : {}) };
    const browser = userAgent.slice(0, 512);
    const signal = { lid, handle, userId, ...from, loginAtMs, userAgent: browser, signal: 'session_reused' };
    const event = loginEventSchema.safeParse(signal);
    if (event.success) await producer.report(event.data);
    else log.warn({ event: 'reuse_untold', case: caseId }, 'Nobody knows whose login was reused; no incident');
  } catch (error) {
    log.warn({ event: 'reuse_untold', case: caseId, error: errorName(error) }, 'A reuse could not be reported');
  }
}

const DAY_MS = 86_400_000;
/** Visits are kept as long as incidents are by default; the worker's own setting rules the incidents. */
const VISITS_TTL_MS = 365 * DAY_MS;

function sessionTimes({ session = {}, rotate }: BouncerOptions) {
  return {
    rotateEvery: rotate?.everyRequests ?? 0,
    ttlMs: (session.ttlSeconds ?? 86_400) * 1000,
    absoluteTtlMs: session.absoluteTtlSeconds === undefined ? 30 * DAY_MS : session.absoluteTtlSeconds * 1000,
    renewAfter: session.renewAfter ?? 0.1,
  };
}

function gateOptions({ gotcha = {}, openPaths = [], needsUser }: BouncerOptions) {
  const loginUrl = gotcha.loginUrl ?? '/login';
  return {
    gotchaPath: gotcha.path ?? '/gotcha',
    gotchaUrl: gotcha.url ?? null,
    loginUrl,
    openPaths: [loginPath(loginUrl), ...openPaths.map(openPath)],
    render: gotcha.render ?? gotchaPage,
    needsUser: needsUser ?? (() => false),
  };
}
