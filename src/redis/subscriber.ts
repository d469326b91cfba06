import type { Redis } from 'ioredis';
import { errorName } from '../errors.ts';
import type { Log, RevocationNotice, Revocations } from '../ports.ts';
import { duplicateOf } from './connection.ts';
import type { Keys } from './keys.ts';
import { parseMark } from './logins.ts';
import { parseTold, type Told } from './publisher.ts';

export interface SubscriberOptions {
  readonly log: Log;
  /** A silent connection may be a dead one: it is asked this often, milliseconds. */
  readonly pingMs?: number | undefined;
}

export interface RevocationFeed extends Revocations {
  /** Resolves when news is being heard, for the first time or again; for tests and for readiness checks. */
  hearing(): Promise<void>;
  close(): void;
}

interface Listener {
  readonly tell: (notice: RevocationNotice) => unknown;
  readonly watching: () => Iterable<string>;
}

const PING_MS = 10_000;
/** How many logins are remembered as told, so that re-checks do not tell them again. */
const MAX_TOLD = 10_000;
const RETRY_MS = 500;
/** Marks looked up at once after a gap. */
const CHUNK = 500;

/**
 * Hears of ended logins over a connection of its own, which is opened with the first listener and reopened for ever.
 *
 * Pub/sub is at most once: what is published while we are away is gone. So each time the subscription stands (again), the
 * marks of all logins that listeners watch are read, after subscribing: a login that ends is either marked before that
 * read or published after the subscription. Besides, every re-check publishes again.
 */
export function revocationFeed(redis: Redis, keys: Keys, options: SubscriberOptions): RevocationFeed {
  return new Feed(redis, keys, options);
}

class Feed implements RevocationFeed {
  readonly #redis: Redis;
  readonly #keys: Keys;
  readonly #options: SubscriberOptions;
  readonly #listeners = new Set<Listener>();
  readonly #told = new Set<string>();
  #subscriber: Redis | null = null;
  #ping: NodeJS.Timeout | undefined;
  #hears: PromiseWithResolvers = gate();
  #closed = false;
  /** One line an outage. */
  #deaf = false;

  constructor(redis: Redis, keys: Keys, options: SubscriberOptions) {
    this.#redis = redis;
    this.#keys = keys;
    this.#options = options;
  }

  listen(tell: Listener['tell'], watching: Listener['watching'] = () => []): () => void {
    const listener = { tell, watching };
    this.#listeners.add(listener);
    if (!this.#closed) this.#subscriber ??= this.#open();
    return () => {
      this.#listeners.delete(listener);
    };
  }

  hearing(): Promise<void> {
    return this.#hears.promise;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#ping);
    this.#subscriber?.disconnect();
    this.#listeners.clear();
  }

  #open(): Redis {
    // We subscribe ourselves, because we must know when that is done. Its options (timeouts, no offline queue) are the
    // web connection's: a ping without an answer ends the connection, and a new one is made.
    const subscriber = duplicateOf(this.#redis, {
      connectionName: 'session-bouncer-news',
      enableOfflineQueue: false,
      autoResubscribe: false,
    });
    subscriber.on('error', () => {}); // the web connection's own log tells of the outage
    subscriber.on('message', (_channel: string, message: string) => this.#heard(message));
    subscriber.on('ready', () => void this.#subscribe(subscriber));
    subscriber.on('close', () => {
      if (this.#hears.settled) this.#hears = gate();
    });
    this.#ping = setInterval(() => void subscriber.ping().catch(() => {}), this.#options.pingMs ?? PING_MS);
    this.#ping.unref();
    return subscriber;
  }

  async #subscribe(subscriber: Redis): Promise<void> {
    try {
      await subscriber.subscribe(this.#keys.revokedChannel());
      await this.#catchUp();
      this.#deaf = false;
      this.#hears.resolve();
    } catch (error) {
      if (!this.#closed) this.#tryAgain(subscriber, error);
    }
  }

  /** No half state: with a new connection all of it is done again. Not at once, should it be refused for good. */
  #tryAgain(subscriber: Redis, error: unknown): void {
    if (!this.#deaf) {
      this.#options.log.warn(
        { event: 'news_unavailable', error: errorName(error) },
        'Ended logins cannot be heard of yet; trying again',
      );
    }
    this.#deaf = true;
    setTimeout(() => !this.#closed && subscriber.disconnect(true), RETRY_MS).unref();
  }

  async #catchUp(): Promise<void> {
    const lids = [...new Set([...this.#listeners].flatMap((listener) => watchedBy(listener, this.#options.log)))];
    for (let i = 0; i < lids.length; i += CHUNK) {
      const notices = await Promise.all(lids.slice(i, i + CHUNK).map((lid) => this.#lookUp(lid)));
      for (const notice of notices) if (notice !== null) this.#tell({ ...notice, repeat: false });
    }
  }

  async #lookUp(lid: string): Promise<RevocationNotice | null> {
    const mark = parseMark(await this.#redis.get(this.#keys.loginEnd(lid)));
    if (mark === null) return null;
    return { lid, handles: await this.#redis.smembers(this.#keys.loginIds(lid)), ...mark };
  }

  #heard(message: string): void {
    const told = parseTold(message);
    if (told !== null) return this.#tell(told);
    this.#options.log.warn({ event: 'news_malformed' }, 'Something else writes to the channel of ended logins');
  }

  #tell({ repeat, ...notice }: Told): void {
    const known = this.#told.has(notice.lid);
    if (known && repeat) return;
    this.#remember(notice.lid);
    for (const { tell } of [...this.#listeners]) void this.#tellOne(tell, notice);
  }

  async #tellOne(tell: Listener['tell'], notice: RevocationNotice): Promise<void> {
    try {
      await tell(notice);
    } catch (error) {
      this.#options.log.error(
        { event: 'listener_failed', on: 'revoked', error: errorName(error) },
        'A listener of the app threw; the others were told all the same',
      );
    }
  }

  /** Oldest out. */
  #remember(lid: string): void {
    this.#told.delete(lid);
    this.#told.add(lid);
    const [oldest] = this.#told;
    if (this.#told.size > MAX_TOLD && oldest !== undefined) this.#told.delete(oldest);
  }
}

function watchedBy({ watching }: Listener, log: Log): string[] {
  try {
    return [...watching()];
  } catch (error) {
    log.error({ event: 'listener_failed', on: 'watching', error: errorName(error) }, 'A listener of the app threw');
    return [];
  }
}

interface PromiseWithResolvers {
  readonly promise: Promise<void>;
  settled: boolean;
  resolve(): void;
}

function gate(): PromiseWithResolvers {
  let settle: () => void = () => {};
  const made: PromiseWithResolvers = {
    promise: new Promise<void>((resolve) => {
      settle = resolve;
    }),
    settled: false,
    resolve() {
      made.settled = true;
      settle();
    },
  };
  return made;
}
