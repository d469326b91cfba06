import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Lists } from '../desk-ports.ts';
import { compileLists, type ListMatcher } from '../domain/list-match.ts';
import { checkListEntry, isLiveEntry, type ListEntry } from '../domain/lists.ts';
import { BouncerError, errorName } from '../errors.ts';
import type { Clock, Log } from '../ports.ts';
import type { Keys } from './keys.ts';

/** Every worker holds them in memory, and reads all of them after each change. */
const MAX_ENTRIES = 10_000;

const token = (): string => randomBytes(12).toString('base64url');

/** One hash of entries by id, and a revision that every change renews. `list` leaves out what cannot be read. */
export function redisLists(redis: Redis, keys: Keys): Lists {
  // Random and no number: counted again from one after a flush, it could be the one that a worker remembers.
  const changed = () => redis.multi().set(keys.listsRevision(), token());
  return {
    async add(given, nowMs) {
      const entry: ListEntry = { ...checkListEntry(given, nowMs), id: token(), createdAtMs: nowMs };
      if ((await redis.hlen(keys.lists())) >= MAX_ENTRIES) {
        throw new BouncerError(
          'option_invalid',
          `the lists hold ${MAX_ENTRIES} entries: remove some, or add a block for many`,
        );
      }
      await changed().hset(keys.lists(), entry.id, JSON.stringify(entry)).exec();
      return entry;
    },
    async remove(id) {
      const json = await redis.hget(keys.lists(), id);
      if (json === null) return null;
      // Of two who remove it at once, one has removed it.
      const replies = await changed().hdel(keys.lists(), id).exec();
      return replies?.[1]?.[1] === 1 ? entryOf(json) : null;
    },
    async list(nowMs) {
      const entries = Object.entries(await redis.hgetall(keys.lists()));
      const read = entries.flatMap(([id, json]) => {
        const entry = entryOf(json);
        return entry === null ? [] : [{ id, entry }];
      });
      const ended = read.filter(({ entry }) => !isLiveEntry(entry, nowMs)).map(({ id }) => id);
      // Behind the answer; they match nothing, so no worker need read the lists again for it.
      if (ended.length > 0) redis.hdel(keys.lists(), ...ended).catch(() => {});
      const live = read.filter(({ id }) => !ended.includes(id)).map(({ entry }) => entry);
      return live.sort((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? -1 : 1));
    },
    async revision() {
      return (await redis.get(keys.listsRevision())) ?? '';
    },
  };
}

function entryOf(json: string): ListEntry | null {
  try {
    const entry = JSON.parse(json) as ListEntry;
    return typeof entry.value === 'string' ? entry : null;
  } catch {
    return null;
  }
}

/** How soon a worker takes over a change. */
const LOOK_EVERY_MS = 1000;

export interface WatchedLists {
  /** The lists as they were a second ago at most, or as they were last read while Redis is in trouble. */
  fresh(): Promise<ListMatcher>;
}

/** One command a second at most, before a batch; all entries are read only when the revision is another one. */
export function watchLists(lists: Lists, { clock, log }: { clock: Clock; log: Log }): WatchedLists {
  let known: { revision: string; matcher: ListMatcher } | null = null;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let looking: Promise<ListMatcher> | null = null;

  const look = async (): Promise<ListMatcher> => {
    const revision = await lists.revision();
    if (known?.revision !== revision) {
      // Read after the revision: a change in between is seen again at the next look.
      const matcher = compileLists(await lists.list(clock()));
      if (known !== null) log.info({ event: 'lists_read', entries: matcher.size }, 'The lists have changed');
      known = { revision, matcher };
    }
    lookedAtMs = clock();
    return known.matcher;
  };
  const lookOrKeep = async (): Promise<ListMatcher> => {
    try {
      return await look();
    } catch (error) {
      // Without them a login from a blocked address would pass: a batch waits until they were read once.
      if (known === null) throw error;
      lookedAtMs = clock();
      log.warn({ event: 'lists_failed', error: errorName(error) }, 'The lists could not be read; the old ones go on');
      return known.matcher;
    } finally {
      looking = null;
    }
  };
  return {
    fresh() {
      if (known !== null && Math.abs(clock() - lookedAtMs) < LOOK_EVERY_MS) return Promise.resolve(known.matcher);
      looking ??= lookOrKeep();
      return looking;
    },
  };
}
