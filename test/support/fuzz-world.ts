/** The fuzz's worlds: one login each, in one random interleaving; on one server or on a Cluster. */
import type { Redis } from 'ioredis';
import { type Mutation, redisSessions } from '../../src/redis/ender.ts';
import type { Keys } from '../../src/redis/keys.ts';
import { redisLogins } from '../../src/redis/logins.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { type Entry, type Opened, SessionEngine } from '../../src/web/engine.ts';
import { randomToken, sessionHandle } from '../../src/web/handle.ts';
import { captureLog } from './index.ts';
import { randomFrom, Scheduler } from './scheduler.ts';

const LONG_MS = 1_000_000;

export interface Mutants {
  readonly writer?: 'save_before_enroll';
  readonly revoker?: Mutation;
}

export interface Place {
  readonly redis: Redis;
  readonly keys: Keys;
}

/** One login, with all the ids it ever got, in one interleaving. */
class World {
  readonly lid = randomToken();
  readonly ids: string[] = [];
  /** Loads and saves that began when the revoker had finished, and still found or made a live session. */
  survived = 0;
  #ended = false;
  /** In half of the worlds the store itself gives new ids as well. */
  readonly #rotateEvery: number;
  /** In half of the worlds ids are made step by step, as on a Cluster. */
  readonly #inSteps: boolean;
  readonly #random: () => number;
  readonly #mutants: Mutants;
  readonly #keys: Keys;

  constructor(keys: Keys, random: () => number, mutants: Mutants) {
    this.#keys = keys;
    this.#random = random;
    this.#mutants = mutants;
    this.#rotateEvery = this.chance(0.5) ? 3 : 0;
    this.#inSteps = this.chance(0.5);
  }

  /** The web tier as one request sees it. A reuse alarm does not count here: the revoker alone must do. */
  engine(redis: Redis): SessionEngine {
    const sessions = guardedSessions(redis, this.#keys);
    return new SessionEngine({
      sessions: this.#inSteps ? { ...sessions, enter: null } : sessions,
      logins: redisLogins(redis, this.#keys),
      clock: Date.now,
      log: captureLog(),
      ttlMs: LONG_MS,
      absoluteTtlMs: LONG_MS,
      renewAfter: 0,
      rotateEvery: this.#rotateEvery,
      random: this.#random,
      onRefused: () => {},
      onReused: async () => {},
      mutation: this.#mutants.writer,
    });
  }

  newId(): string {
    const id = randomToken();
    this.ids.push(id);
    return id;
  }

  chance(part: number): boolean {
    return this.#random() < part;
  }

  async open(engine: SessionEngine, id: string): Promise<Opened> {
    const late = this.#ended;
    const opened = await engine.open(id);
    if (opened.kind !== 'live') return opened;
    if (late) this.survived += 1;
    if (opened.forwardTo !== null) this.ids.push(opened.forwardTo);
    return opened;
  }

  async save(engine: SessionEngine, entry: Entry, data: object): Promise<void> {
    const late = this.#ended;
    const outcome = await engine.save(entry, { cookie: {}, ...data }, null);
    if (late && outcome === 'live') this.survived += 1;
  }

  /** A request that has loaded the session changes it, moves it to a new id and saves that: the app ignores all errors. */
  async rotate(engine: SessionEngine, old: Entry, oldId: string): Promise<string> {
    if (this.chance(0.5)) await this.save(engine, old, { changed: true });
    const newId = this.newId();
    const entry = await engine.move(old, oldId, newId);
    if (this.chance(0.3)) await this.save(engine, entry, { explicit: true });
    await this.save(engine, entry, { moved: true });
    return newId;
  }

  async thief(redis: Redis, firstId: string, entry: Entry | null): Promise<void> {
    const engine = this.engine(redis);
    let id = entry === null ? firstId : await this.rotate(engine, entry, firstId);
    for (let rotations = entry === null ? 0 : 1; rotations < 3; rotations++) {
      const opened = await this.open(engine, id);
      if (opened.kind !== 'live') return;
      id = await this.rotate(engine, opened.entry, opened.forwardTo ?? id);
    }
  }

  async staleSaver(redis: Redis, id: string): Promise<void> {
    const engine = this.engine(redis);
    const opened = await this.open(engine, id);
    if (opened.kind !== 'live') return;
    await engine.touch(opened.entry, null);
    await this.save(engine, opened.entry, { stale: 1 });
    if (this.chance(0.2)) await engine.end(opened.entry.handle);
    await this.save(engine, opened.entry, { stale: 2 });
  }

  async revoke(redis: Redis, handle: string): Promise<void> {
    const sessions = redisSessions(redis, this.#keys, LONG_MS, this.#mutants.revoker);
    const how = {
      handle,
      lid: this.lid,
      reason: 'country_changed',
      caseId: 'AAAA-BBBB-CCCC',
      atMs: Date.now(),
    } as const;
    for (const result of await sessions.revoke([how])) if (result instanceof Error) throw result;
    this.#ended = true;
  }
}

/**
 * How the login began:
 * `stored`     its first id is saved, then reported
 * `unlinked`   reported under an id that is not one of its own (the one before login): only the index leads to its ids
 * `unsaved`    reported, and moved to another id before its first was ever saved: no tombstone links the two
 */
const SHAPES = ['stored', 'unlinked', 'unsaved'] as const;

/** Returns how many sessions of the revoked login were live in the end, or alive after the revoker had finished. */
export async function play({ redis, keys }: Place, seed: number, mutants: Mutants = {}): Promise<number> {
  const random = randomFrom(seed);
  const world = new World(keys, random, mutants);
  const shape = SHAPES[seed % SHAPES.length];
  const engine = world.engine(redis);
  const id = world.newId();
  const entry = engine.fresh(id, world.lid);
  if (shape !== 'unsaved') await engine.save(entry, { cookie: {} }, null);
  const reported = shape === 'unlinked' ? randomToken() : id;

  const scheduler = new Scheduler(redis, random);
  scheduler.add((own) => world.revoke(own, sessionHandle(reported)));
  scheduler.add((own) => world.thief(own, id, shape === 'unsaved' ? entry : null));
  if (shape !== 'unsaved') scheduler.add((own) => world.thief(own, id, null));
  if (shape !== 'unsaved') scheduler.add((own) => world.staleSaver(own, id));
  await scheduler.run();
  const values = await Promise.all(world.ids.map((one) => redis.get(keys.session(sessionHandle(one)))));
  return values.filter((value) => value?.startsWith('{"__bouncer":{"k":"live"')).length + world.survived;
}

/** Worlds that run at the same time; each has its own login and its own scheduler. */
const ABREAST = 8;

/** The seeds that left a live session. */
export async function fuzz(place: Place, runs: number, mutants: Mutants = {}): Promise<number[]> {
  const failed: number[] = [];
  let next = 0;
  const lane = async () => {
    for (let seed = next++; seed < runs; seed = next++) if ((await play(place, seed, mutants)) > 0) failed.push(seed);
  };
  await Promise.all(Array.from({ length: ABREAST }, lane));
  return failed;
}
