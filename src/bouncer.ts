import type { Redis } from 'ioredis';
import { compileTrust } from './domain/forwarded.ts';
import type { AddressProblem } from './domain/types.ts';
import { BouncerError } from './errors.ts';
import { defaultLog } from './log.ts';
import type { Clock, Log, Refusal } from './ports.ts';
import { firstField, loginEventSchema } from './queue/job.ts';
import { loginQueue } from './queue/login-queue.ts';
import { Producer } from './queue/producer.ts';
import { openWebRedis, type RedisTarget } from './redis/connection.ts';
import { redisIncidents } from './redis/incidents.ts';
import { type Keys, keysFor, LOGIN_QUEUE } from './redis/keys.ts';
import { guardedSessions } from './redis/sessions.ts';
import { Releasers } from './release.ts';
import { addressOf, type ExpressRequest, type ExpressResponse, expressGate } from './web/express.ts';
import { Gate, type GateRequest } from './web/gate.ts';
import { type GotchaContext, gotchaPage } from './web/gotcha.ts';
import { login } from './web/login.ts';
import { eventOf, type LoginOptions, type LoginReport, type LoginResult } from './web/report.ts';
import { createSessionStore, type StoreClass } from './web/session-store.ts';

export interface BouncerOptions {
  /** A URL, ioredis options, or an ioredis instance (duplicated, never used or closed itself). */
  readonly redis: RedisTarget;
  /** Every key begins with it; the same in the worker. Letters, digits, `-` and `_`. Default `bouncer`. */
  readonly prefix?: string | undefined;
  /**
   * The proxies in front of this app: addresses, CIDRs, `loopback` or `private`; or how many there are, where their
   * addresses are not known. The forwarding header is read from the right and believed only as far as these wrote it.
   * Default none: the address is the connection's own.
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
  };
  readonly gotcha?: {
    /** Where bounced pages are sent; served by `gate()`. Default `/gotcha`. */
    readonly path?: string | undefined;
    /** A page of your own instead; `case=` is added to its query. */
    readonly url?: string | undefined;
    /** Where the owner signs in again. Always reachable. Default `/login`. */
    readonly loginUrl?: string | undefined;
    /** Your own HTML in place of ours. */
    readonly render?: ((context: GotchaContext) => string) | undefined;
  };
  /** Paths that stay reachable with a revoked session, on a fresh one: exact, or prefixes that end in `/`. */
  readonly openPaths?: readonly string[] | undefined;
  /** While Redis is away: should this request get 503 (true) or go on as anonymous (false)? Default: always go on. */
  readonly needsUser?: ((request: GateRequest) => boolean) | undefined;
  /** How long `login` and `reportLogin` wait for the queue, milliseconds. Default 250. */
  readonly enqueueTimeoutMs?: number | undefined;
  /** How many logins may wait in memory while Redis is away. Default 10,000 (about 5 MB). */
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
  /** Writes of sessions that were refused, e.g. `save:revoked`, `save:unavailable`. */
  readonly refused: Readonly<Record<string, number>>;
}

/** express-session's module, as far as we use it. */
interface SessionModule<S> {
  readonly Store: abstract new () => S;
}

export interface Bouncer {
  /** The session store for express-session: `session({ store: bouncer.store(session), ... })`. */
  store<S>(session: SessionModule<S>): S;
  /** Express middleware, after `session(...)`: lets a request pass or bounces it to the gotcha page. */
  gate(): (req: ExpressRequest, res: ExpressResponse, next: (error?: unknown) => void) => void;
  /**
   * In the login handler, when the user has authenticated: gives the session a new id (against session fixation, OWASP
   * ASVS 7.2.4), puts `data` into it, saves it and reports the login. Waits at most for Redis's timeout and the
   * enqueue's, and throws only where there is no session at all (`session_missing`).
   */
  login(req: object, options: LoginOptions): Promise<LoginResult>;
  /** The same without a framework. Never throws; settles within `enqueueTimeoutMs`. */
  reportLogin(report: LoginReport): Promise<LoginResult>;
  /** The client's address, as far as trusted proxies vouch for it. */
  clientAddress(request: { peer: string | undefined; headers: ExpressRequest['headers'] }): string | null;
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
  if (trust.trustsAll)
    log.warn({ event: 'trusts_all_proxies' }, 'trustProxy trusts every address: clients can choose their own');
  const keys = keysFor(options.prefix ?? 'bouncer');

  const redis = openWebRedis(options.redis, options.redisTimeoutMs ?? 1000, log);
  releasers.add('redis', () => redis.disconnect());
  const producer = openProducer(options, redis, keys, log, releasers);
  const counts = { rejected: 0, bounced: 0, refused: {} as Record<string, number> };
  const gate = new Gate(gateOptions(options), {
    incidents: redisIncidents(redis, keys, VISITS_TTL_MS),
    clock,
    log,
    onBounced: () => {
      counts.bounced += 1;
    },
  });

  const report = reporter(producer, clock, log, () => {
    counts.rejected += 1;
  });

  return {
    store: <S>(session: SessionModule<S>) =>
      createSessionStore(session.Store as unknown as StoreClass, {
        ...sessionTimes(options),
        sessions: guardedSessions(redis, keys),
        clock,
        log,
        onRefused: ({ operation, outcome }: Refusal) => {
          const name = `${operation}:${outcome}`;
          counts.refused[name] = (counts.refused[name] ?? 0) + 1;
        },
      }) as S,
    gate: () => expressGate(gate, trust, log),
    login: (req, how) => login(req as ExpressRequest, how, { trust, log, report }),
    reportLogin: (given) => report(given),
    clientAddress: (request) => {
      const found = addressOf({ headers: request.headers, socket: { remoteAddress: request.peer } }, trust);
      return found.address;
    },
    stats: () => ({ ...producer.counts(), ...counts, refused: { ...counts.refused } }),
    close: () => releasers.run(),
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

/** Checks a report and hands it on. What is not valid is refused with a code; its text is neither kept nor logged. */
function reporter(producer: Producer, clock: Clock, log: Log, onRejected: () => void) {
  return async (given: LoginReport, problem?: AddressProblem): Promise<LoginResult> => {
    const event = loginEventSchema.safeParse(eventOf(given, clock(), problem));
    if (event.success) return { lid: event.data.lid, status: await producer.report(event.data) };
    onRejected();
    const field = firstField(event.error) ?? undefined;
    log.error(
      { event: 'login_rejected', code: 'login_invalid', field },
      'A login report was not valid; it is not checked',
    );
    return { lid: '', status: 'rejected', field };
  };
}

const DAY_MS = 86_400_000;
/** Visits are kept as long as incidents are by default; the worker's own setting rules the incidents. */
const VISITS_TTL_MS = 365 * DAY_MS;

function checkOptions({ prefix, session }: BouncerOptions): void {
  if (prefix !== undefined && !/^[\w-]{1,64}$/.test(prefix)) {
    throw new BouncerError('option_invalid', 'prefix: use 1 to 64 letters, digits, - and _');
  }
  const renewAfter = session?.renewAfter;
  if (renewAfter !== undefined && !(renewAfter >= 0 && renewAfter <= 1)) {
    throw new BouncerError('option_invalid', 'session.renewAfter: give a part between 0 and 1');
  }
  for (const name of ['ttlSeconds', 'absoluteTtlSeconds'] as const) {
    const value = session?.[name];
    if (value !== undefined && !(value > 0))
      throw new BouncerError('option_invalid', `session.${name}: give seconds above 0`);
  }
}

function sessionTimes({ session = {} }: BouncerOptions) {
  return {
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
    openPaths: [loginUrl, ...openPaths],
    render: gotcha.render ?? gotchaPage,
    needsUser: needsUser ?? (() => false),
  };
}
