/**
 * What an interleaving needs of a web framework. A framework joins by implementing `Framework`; the cases themselves
 * (`cases.ts`) know of none.
 */
import { expect } from '@jest/globals';
import type { Redis } from 'ioredis';
import { CookieJar } from 'tough-cookie';
import type { Bouncer, EndAllResult, LoginResult } from '../../../src/index.ts';
import type { Revocation, RevokeResult } from '../../../src/ports.ts';
import { redisSessions } from '../../../src/redis/ender.ts';
import { type Keys, keysFor, userTag } from '../../../src/redis/keys.ts';
import { redisRegistry } from '../../../src/redis/registry.ts';
import { guardedSessions } from '../../../src/redis/sessions.ts';
import { sessionHandle } from '../../../src/web/handle.ts';
import type { Hooks } from '../../support/hooked-redis.ts';

/** A request's session, inside its handler, with the framework's own calls. An error of theirs is ignored: the app is careless. */
export interface InHandler {
  id(): string;
  /** Puts a new value into it. */
  change(): void;
  /** Explicitly, now. */
  save(): Promise<void>;
  /** A new id, to which the handler copies what the session held. */
  regenerate(): Promise<void>;
  /** Logout. */
  destroy(): Promise<void>;
  login(userId: string): Promise<LoginResult>;
}

export type Handler = (session: InHandler) => Promise<unknown>;

/** Where the server finds what the next request's handler does: by the name in the path `/step/<name>`. */
export type Handlers = Map<string, Handler>;

export interface Running {
  readonly url: string;
  readonly bouncer: Bouncer;
}

export interface Framework {
  readonly name: string;
  /** Case number -> why its steps do not exist here. */
  readonly lacks: Readonly<Record<number, string>>;
  /** Serves `/step/:name` behind the session and the gate, answers `{ user }`; `/me` the same. Released after the file. */
  open(redis: Redis, prefix: string, handlers: Handlers): Promise<Running>;
}

/** A request that has entered its handler and waits there. */
export interface Flight {
  /** The raw id that its session had last. */
  id(): string;
  /** Lets the handler go on (with `after`, where given) and returns the whole answer. */
  end(after?: Handler): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly location: string | null;
}

const LONG_MS = 1_000_000;

/** One server with its Redis, and a revoker. */
export class World {
  readonly keys: Keys;
  readonly hooks: Hooks;
  /** Not hooked: the revoker's own connection, or client of a Cluster. */
  readonly redis: Redis;
  /** Each server that holds keys. */
  readonly masters: readonly Redis[];
  readonly #running: Running;
  readonly #handlers: Handlers;
  #steps = 0;

  constructor(
    prefix: string,
    hooks: Hooks,
    redis: Redis,
    running: Running,
    handlers: Handlers,
    masters: readonly Redis[] = [redis],
  ) {
    this.masters = masters;
    this.keys = keysFor(prefix);
    this.hooks = hooks;
    this.redis = redis;
    this.#running = running;
    this.#handlers = handlers;
  }

  visitor(): Visitor {
    return new Visitor(this, this.#running.url);
  }

  /** Registers a handler for one request; returns its path. */
  path(handler: Handler): string {
    const name = String(++this.#steps);
    this.#handlers.set(name, handler);
    return `/step/${name}`;
  }

  async alice(): Promise<Visitor> {
    const visitor = this.visitor();
    await visitor.login();
    expect(await visitor.user()).toBe('alice');
    return visitor;
  }

  /** K: the real revoker. */
  async revoke(visitor: Visitor, how: Partial<Revocation> = {}, redis = this.redis): Promise<RevokeResult> {
    const { handle, lid } = visitor;
    const one = { handle, lid, reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs: Date.now(), ...how } as const;
    const [result] = await redisSessions(redis, this.keys, LONG_MS).revoke([one]);
    if (result === undefined || result instanceof Error) throw result;
    return result;
  }

  /** What `endAll` does first, and nothing else of it. */
  async bar(): Promise<void> {
    await redisRegistry(this.redis, this.keys).bar('alice', Date.now(), LONG_MS);
  }

  endAll(): Promise<EndAllResult> {
    return this.#running.bouncer.sessions.endAll('alice', { by: 'a test', why: 'to see' });
  }

  /** Removes the dead from the registry, too. */
  async listed(): Promise<string[]> {
    const { redis, keys } = this;
    await redisRegistry(redis, keys).prune(userTag('alice'), Date.now());
    return (await redisRegistry(redis, keys).all('alice')).map(({ lid }) => lid);
  }

  /** What stands at an id's key: `live`, `absent`, or a tombstone's kind. */
  async stateOf(id: string): Promise<string> {
    const loaded = await guardedSessions(this.redis, this.keys).load(sessionHandle(id));
    return loaded.kind === 'tombstone' ? loaded.tombstone.kind : loaded.kind;
  }

  key(id: string): string {
    return this.keys.session(sessionHandle(id));
  }

  /** No id of the login is live, and none of the visitor's cookies, old or new, is a logged-in user's. */
  async expectDead(visitor: Visitor): Promise<void> {
    const live = (value: string | null) => value?.includes(`"k":"live"`) && value.includes(visitor.lid);
    expect((await this.#values()).filter(live)).toEqual([]);
    for (const cookie of visitor.cookies) expect([cookie, await visitor.user(cookie)]).toEqual([cookie, null]);
  }

  async #values(): Promise<(string | null)[]> {
    const all = await Promise.all(
      this.masters.map(async (master) => {
        const values: (string | null)[] = [];
        for await (const found of master.scanStream({ match: this.keys.session('*'), count: 1000 })) {
          values.push(...(await Promise.all((found as string[]).map((name) => master.get(name)))));
        }
        return values;
      }),
    );
    return all.flat();
  }

  /** The same command on each server. */
  async everywhere(command: string, ...args: string[]): Promise<void> {
    await Promise.all(this.masters.map((master) => master.call(command, ...args)));
  }

  refused(): Readonly<Record<string, number>> {
    return this.#running.bouncer.stats().refused;
  }
}

/** A browser, with every cookie it was ever given. */
export class Visitor {
  readonly #world: World;
  readonly #url: string;
  readonly #jar = new CookieJar();
  readonly cookies = new Set<string>();
  /** Of the id that the login was reported under. */
  handle = '';
  id = '';
  lid = '';

  constructor(world: World, url: string) {
    this.#world = world;
    this.#url = url;
  }

  async login(): Promise<LoginResult> {
    let result: LoginResult | undefined;
    const flight = await this.start(async (session) => {
      result = await session.login('alice');
      this.named(session.id());
    });
    await flight.end();
    if (result === undefined) throw new Error('the login handler did not run');
    this.lid = result.lid;
    return result;
  }

  named(id: string): void {
    this.id = id;
    this.handle = sessionHandle(id);
  }

  /** L and W: returns when the request has loaded its session and `before` is done. Throws when it was bounced. */
  async start(before: Handler = async () => {}): Promise<Flight> {
    let id = '';
    let after: Handler = async () => {};
    let go = () => {};
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    let entered = () => {};
    const inside = new Promise<'inside'>((resolve) => {
      entered = () => resolve('inside');
    });
    const path = this.#world.path(async (session) => {
      await before(session);
      id = session.id();
      entered();
      await gone;
      await after(session);
      id = session.id();
    });
    const answer = this.send(path);
    const first = await Promise.race([inside, answer]);
    if (first !== 'inside') throw new Error(`not let in: ${first.status} ${first.body}`);
    return {
      id: () => id,
      end: (last) => {
        if (last !== undefined) after = last;
        go();
        return answer;
      },
    };
  }

  async send(path: string, cookie?: string): Promise<Answer> {
    const sent = cookie ?? (await this.#jar.getCookieString(this.#url));
    const response = await fetch(this.#url + path, {
      redirect: 'manual',
      headers: { cookie: sent, accept: 'text/html' },
    });
    if (cookie === undefined) {
      for (const line of response.headers.getSetCookie()) await this.#jar.setCookie(line, this.#url);
      const now = await this.#jar.getCookieString(this.#url);
      if (now !== '') this.cookies.add(now);
    }
    return { status: response.status, body: await response.text(), location: response.headers.get('location') };
  }

  /** Null when nobody is logged in, or the request was bounced. */
  async user(cookie?: string): Promise<unknown> {
    const { status, body } = await this.send('/me', cookie);
    return status === 200 ? (JSON.parse(body) as { user: unknown }).user : null;
  }
}
