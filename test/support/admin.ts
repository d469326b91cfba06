/** The parts of a web process that know logins, over the shared Redis, without a web framework. */
import type { Redis } from 'ioredis';
import type { Registry } from '../../src/ports.ts';
import { redisAudit } from '../../src/redis/audit.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { type Keys, keysFor } from '../../src/redis/keys.ts';
import { redisLogins } from '../../src/redis/logins.ts';
import { redisRegistry } from '../../src/redis/registry.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { type SessionAdmin, sessionAdmin } from '../../src/session-admin.ts';
import { type EngineDeps, SessionEngine } from '../../src/web/engine.ts';
import { loginId, randomToken, sessionHandle } from '../../src/web/handle.ts';
import { commandsOn } from './commands.ts';
import { captureLog, connect, testPrefix } from './index.ts';

const LONG_MS = 30 * 86_400_000;
const TTL_MS = 86_400_000;

export interface LoggedIn {
  readonly id: string;
  readonly lid: string;
  readonly outcome: string | null;
}

/** With a clock of its own. */
export class WebTier {
  readonly prefix: string;
  readonly keys: Keys;
  readonly redis: Redis;
  readonly registry: Registry;
  readonly admin: SessionAdmin;
  now = Date.now();

  constructor(prefix = testPrefix(), redis = connect()) {
    this.prefix = prefix;
    this.redis = redis;
    this.keys = keysFor(prefix);
    this.registry = redisRegistry(redis, this.keys);
    this.admin = sessionAdmin({
      registry: this.registry,
      sessions: redisSessions(redis, this.keys, LONG_MS),
      guarded: guardedSessions(redis, this.keys),
      logins: redisLogins(redis, this.keys),
      audit: redisAudit(redis, this.keys),
      clock: () => this.now,
      log: captureLog(),
      absoluteTtlMs: LONG_MS,
      caseOf: () => 'AAAA-BBBB-CCCC',
    });
  }

  engine(over: Partial<EngineDeps> = {}): SessionEngine {
    return new SessionEngine({
      sessions: guardedSessions(this.redis, this.keys),
      logins: redisLogins(this.redis, this.keys),
      clock: () => this.now,
      log: captureLog(),
      ttlMs: TTL_MS,
      absoluteTtlMs: LONG_MS,
      renewAfter: 0.1,
      onRefused: () => {},
      onReused: async () => {},
      ...over,
    });
  }

  /** As `bouncer.login` does: enrol and save, then the report. */
  async login(userId: string, engine = this.engine()): Promise<LoggedIn> {
    const lid = loginId(userId);
    const id = randomToken() + randomToken().slice(0, 10);
    const outcome = await engine.save(engine.fresh(id, lid), { cookie: {}, userId }, null);
    await this.report(userId, lid, id);
    return { id, lid, outcome };
  }

  async report(userId: string, lid: string, id: string): Promise<void> {
    const what = { address: '81.2.69.142', userAgent: 'TestBrowser/1.0', loginAtMs: this.now };
    await this.registry.add({ lid, handle: sessionHandle(id), userId, ...what }, this.now, this.now + LONG_MS);
  }

  async lives(id: string): Promise<boolean> {
    return (await this.engine().open(id)).kind === 'live';
  }
}

/** What clients sent about this prefix while `work` ran, in order. */
export function commandsDuring(redis: Redis, prefix: string, work: () => Promise<unknown>): Promise<string[]> {
  return commandsOn(redis, prefix, work);
}
