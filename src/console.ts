/** The review desk as a server of its own: accounts of the configuration, sessions in our own store. */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Hono } from 'hono';
import { type Bouncer, createBouncer } from './bouncer.ts';
import { type Doorman, doorman, entry } from './console/accounts.ts';
import { consoleApp } from './console/app.tsx';
import type { Access, ConsoleBindings, SignIn } from './console/env.ts';
import { type Account, accountsOf } from './console/password.ts';
import { warnOfNoProxy, watchedAddress } from './console/proxies.ts';
import { confirmLink } from './console/sign-in.tsx';
import { type DeskOptions, openDesk } from './desk.ts';
import type { Desk } from './desk-ports.ts';
import { BouncerError, sessionUnavailable } from './errors.ts';
import { defaultLog } from './log.ts';
import type { Clock, Log } from './ports.ts';
import { redisAttempts } from './redis/attempts.ts';
import { openWebRedis, type RedisTarget } from './redis/connection.ts';
import { keysFor } from './redis/keys.ts';
import { Releasers } from './release.ts';
import type { CookieSession } from './web/cookie-session.ts';
import { loginId, randomToken } from './web/handle.ts';
import { type MountEnv, mountable } from './web/mount.ts';

export { hashPassword } from './console/password.ts';

export interface ConsoleServerOptions {
  readonly redis: RedisTarget;
  /** As the web tier's and the worker's. Default `bouncer`. */
  readonly prefix?: string | undefined;
  /** `{ anna: 'admin:scrypt$...' }`: a role and what `session-bouncer console hash-password` prints. */
  readonly accounts: Readonly<Record<string, string>>;
  /** Default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** Default 3900; 0 takes a free one. */
  readonly port?: number | undefined;
  /** Where people reach it, e.g. `https://desk.example.com`: needed where it is not this machine alone. */
  readonly publicUrl?: string | null | undefined;
  /** As `createBouncer`'s: the proxies in front. */
  readonly trustProxy?: number | readonly string[] | undefined;
  readonly title?: string | undefined;
  /** How long the worker and the web tier keep things, where they were told to. */
  readonly kept?: Pick<DeskOptions, 'baselineTtlMs' | 'tombstoneTtlMs' | 'absoluteTtlMs'> | undefined;
  readonly log?: Log | undefined;
  readonly clock?: Clock | undefined;
}

export interface ConsoleServer {
  readonly url: string;
  close(): Promise<void>;
}

const TEN_MINUTES_MS = 600_000;
const IDLE_SECONDS = 30 * 60;
const ABSOLUTE_SECONDS = 12 * 3600;
const REDIS_TIMEOUT_MS = 3000;

/** Throws BouncerError `config_invalid` (or `option_invalid`, as `createBouncer`); then nothing stays open. Listens when it resolves. */
export async function openConsole(options: ConsoleServerOptions): Promise<ConsoleServer> {
  const { redis, host = '127.0.0.1', port = 3900 } = options ?? {};
  if (!redis) throw new BouncerError('option_invalid', 'redis: give a URL such as redis://localhost:6379');
  checkPlace(host, port);
  const accounts = checkedAccounts(options.accounts);
  const publicUrl = checkedUrl(options.publicUrl ?? null, host);
  const log = options.log ?? defaultLog('warn');
  const releasers = new Releasers(log);
  try {
    const handle = await compose(options, { accounts, secure: publicUrl?.protocol === 'https:', log, releasers });
    const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000, maxHeaderSize: 16_384 });
    await listening(server, port, host);
    releasers.add('server', () => closed(server));
    const bound = (server.address() as AddressInfo).port;
    const names = hostNames(publicUrl, host, bound);
    const listener = mountable(async () => handle, log).node();
    server.on('request', (req, res) => {
      if (names.has((req.headers.host ?? '').toLowerCase())) return listener(req, res);
      // A page elsewhere whose name was made to point here (DNS rebinding) must not read what we answer.
      res.writeHead(421, { 'Content-Type': 'text/plain', Connection: 'close' }).end('This desk has another name.\n');
    });
    warnOfNoProxy(publicUrl, options.trustProxy ?? [], log);
    const url = publicUrl?.origin ?? `http://${host.includes(':') ? `[${host}]` : host}:${bound}`;
    return { url, close: () => releasers.run() };
  } catch (error) {
    await releasers.run();
    throw error;
  }
}

function checkedAccounts(given: Readonly<Record<string, string>>): ReadonlyMap<string, Account> {
  const accounts = accountsOf(given);
  if (accounts.size > 0) return accounts;
  throw new BouncerError(
    'config_invalid',
    'consoleAccounts: nobody could sign in; run `session-bouncer console hash-password` and put what it prints into the configuration, e.g. "consoleAccounts": {"anna": "admin:scrypt$..."}',
  );
}

/** Callers in JavaScript give what they like. */
function checkPlace(host: string, port: number): void {
  if (typeof host !== 'string' || host === '')
    throw new BouncerError('config_invalid', 'consoleHost: give a name or an address');
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return;
  throw new BouncerError('config_invalid', 'consolePort: give a whole number from 0 (a free port) to 65535');
}

const isLoopback = (host: string) => /^(localhost|127(\.\d{1,3}){3}|::1)$/.test(host);

/** Beyond this machine only with a name that people use, and over TLS: passwords and cookies travel. */
function checkedUrl(text: string | null, host: string): URL | null {
  if (text === null) {
    if (isLoopback(host)) return null;
    throw new BouncerError(
      'config_invalid',
      'consoleUrl: needed where consoleHost is not this machine alone; give the https:// URL that people open',
    );
  }
  const url = URL.canParse(text) ? new URL(text) : null;
  const local = url !== null && isLoopback(url.hostname.replace(/^\[|\]$/g, ''));
  if (url === null || url.pathname !== '/' || !(url.protocol === 'https:' || (url.protocol === 'http:' && local))) {
    throw new BouncerError('config_invalid', 'consoleUrl: give an https:// URL without a path');
  }
  return url;
}

function hostNames(publicUrl: URL | null, host: string, port: number): ReadonlySet<string> {
  const local = isLoopback(host) ? ['localhost', '127.0.0.1', '[::1]', host] : [];
  const names = local.flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`]));
  return new Set(publicUrl === null ? names : [...names, publicUrl.host]);
}

type Session = { readonly name: string; readonly provedAtMs: number; readonly csrf: string };
interface OuterEnv {
  Bindings: { readonly incoming: IncomingMessage };
  Variables: { session: CookieSession };
}

interface Parts {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly secure: boolean;
  readonly log: Log;
  readonly releasers: Releasers;
}

/** Redis, the desk, the sessions, the pages: in this order, released in reverse. */
async function compose(options: ConsoleServerOptions, { accounts, secure, log, releasers }: Parts) {
  const clock = options.clock ?? Date.now;
  const prefix = options.prefix ?? 'bouncer';
  const keys = keysFor(prefix);
  const redis = openWebRedis(options.redis, REDIS_TIMEOUT_MS, log);
  releasers.add('redis', () => redis.disconnect());
  const desk = openDesk({ ...options.kept, redis, keys, clock, log });
  releasers.add('desk', () => desk.close());
  const bouncer = createBouncer({
    redis: options.redis,
    prefix: `${prefix.slice(0, 56)}-console`,
    trustProxy: options.trustProxy,
    session: { ttlSeconds: IDLE_SECONDS, absoluteTtlSeconds: ABSOLUTE_SECONDS },
    gotcha: { loginUrl: '/sign-in' },
    // While Redis is away nobody is asked to sign in again: they are told to wait.
    needsUser: ({ path }) => !path.startsWith('/assets/'),
    log,
    clock,
  });
  releasers.add('sessions', () => bouncer.close());
  const door = doorman({ accounts, attempts: redisAttempts(redis, keys), desk, clock, log });
  const common = { desk, clock, log, title: options.title };
  const inner = consoleApp({
    ...common,
    authorize: async (request, env) => access(sessionOf(env), request, accounts, clock()),
    reauthenticate: confirmLink,
    signIn: signInWith({
      door,
      desk,
      clock,
      clientAddress: watchedAddress({ clientAddress: bouncer.clientAddress, log }),
    }),
  });
  const outer = new Hono<OuterEnv>();
  const name = secure ? '__Host-desk-sid' : 'desk-sid';
  outer.use(bouncer.hono({ secret: secretOf(accounts), name, cookie: { secure } }) as never);
  outer.all('*', (c) => inner.fetch(c.req.raw, { base: '', native: c, secure }));
  const away = consoleApp({ ...common, authorize: () => Promise.reject(sessionUnavailable('no session can be read')) });
  return async (request: Request, { native }: MountEnv) => {
    const answer = await outer.fetch(request, { incoming: native as IncomingMessage });
    return isGates(answer) ? away.fetch(request, { base: '', native: undefined, secure }) : answer;
  };
}

/** What the gate says where it cannot look a session up is for programs; all that we say ourselves is for people. */
function isGates({ status, headers }: Response): boolean {
  return status === 503 && (headers.get('content-type') ?? '').startsWith('application/json');
}

/** The same after a restart and in every process; another one, so that all sign in again, once an account has changed. */
function secretOf(accounts: ReadonlyMap<string, Account>): string {
  const hash = createHash('sha256').update('console sessions');
  for (const { name, role, hash: own } of [...accounts.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    hash.update(`\0${name}\0${role}\0`).update(own.salt).update(own.key);
  }
  return hash.digest('base64url');
}

interface Outer {
  get(name: 'session'): CookieSession;
  readonly req: { header(): Record<string, string> };
  readonly env: OuterEnv['Bindings'];
}
const outerOf = (env: ConsoleBindings) => env.native as Outer;

function sessionOf(env: ConsoleBindings): Session | null {
  const { name, provedAtMs, csrf } = outerOf(env).get('session').data as Partial<Session>;
  return name === undefined || provedAtMs === undefined || csrf === undefined ? null : { name, provedAtMs, csrf };
}

function access(
  session: Session | null,
  request: Request,
  accounts: ReadonlyMap<string, Account>,
  nowMs: number,
): Access | Response | null {
  const account = session === null ? undefined : accounts.get(session.name);
  if (session !== null && account !== undefined) {
    const fresh = nowMs - session.provedAtMs < TEN_MINUTES_MS;
    return { actor: { by: account.name, role: account.role }, fresh, csrfKey: session.csrf };
  }
  const { pathname, search } = new URL(request.url);
  const reads = request.method === 'GET' && (request.headers.get('accept') ?? '').includes('text/html');
  if (!reads) return null;
  const back = pathname === '/' ? '' : `?back=${encodeURIComponent(pathname + search)}`;
  return new Response(null, { status: 303, headers: { location: `/sign-in${back}` } });
}

interface SignInDeps {
  readonly door: Doorman;
  readonly desk: Pick<Desk, 'note'>;
  readonly clientAddress: Bouncer['clientAddress'];
  readonly clock: Clock;
}

function signInWith({ door, desk, clientAddress, clock }: SignInDeps): SignIn {
  const addressOf = (env: ConsoleBindings) => {
    const { req, env: outer } = outerOf(env);
    return clientAddress({ peer: outer.incoming.socket.remoteAddress, headers: req.header() });
  };
  return {
    async signIn(env, name, password) {
      const outcome = await door.check(name, password, addressOf(env));
      if (outcome.kind !== 'ok') return outcome;
      // First: where it cannot be noted, nobody gets in.
      await desk.note(entry('sign_in', name, addressOf(env) ?? 'unknown'));
      const data: Session = { name: outcome.actor.by, provedAtMs: clock(), csrf: randomToken() };
      const { saved } = outerOf(env).get('session').begin(loginId(name), data);
      if (!(await saved)) throw new BouncerError('session_unavailable', 'The session could not be stored; try again');
      return outcome;
    },
    async confirm(env, actor, password) {
      const session = outerOf(env).get('session').data.csrf;
      const outcome = await door.confirm(actor.by, password, { session: String(session), address: addressOf(env) });
      if (outcome.kind === 'ok') outerOf(env).get('session').data.provedAtMs = clock();
      return outcome;
    },
    async signOut(env, actor) {
      await outerOf(env).get('session').destroy();
      await desk.note(entry('sign_out', actor.by, addressOf(env) ?? 'unknown'));
    },
  };
}

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(unusable(error, port) ?? error));
    server.listen(port, host, () => resolve());
  });
}

function unusable({ code = '' }: NodeJS.ErrnoException, port: number): BouncerError | null {
  if (/^(EADDRINUSE|EACCES)$/.test(code)) {
    return new BouncerError('config_invalid', `consolePort: ${port} cannot be used (${code}); name another one`);
  }
  // What a resolver says of a name, and the system of an address that is not this machine's.
  if (/^(ENOTFOUND|EAI_\w+|EADDRNOTAVAIL|EINVAL)$/.test(code)) {
    const message = `consoleHost: this machine cannot listen there (${code}); give one of its own addresses or names`;
    return new BouncerError('config_invalid', message);
  }
  return null;
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
