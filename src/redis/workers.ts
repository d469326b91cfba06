import type { Redis } from 'ioredis';
import type { WorkerStatus, Workers } from '../desk-ports.ts';
import { errorName } from '../errors.ts';
import type { Log } from '../ports.ts';
import type { Keys } from './keys.ts';

/** A worker says that it lives so often, and has gone when it has not for thrice as long. */
export const SAY_EVERY_MS = 10_000;
const HEARD_WITHIN_MS = 3 * SAY_EVERY_MS + 5000;

/** One hash, by the worker's id. What died without leaving is taken out by whoever looks. */
export function redisWorkers(redis: Redis, keys: Keys): Workers {
  return {
    async say(status) {
      const json = JSON.stringify(status);
      await redis.multi().hset(keys.workers(), status.id, json).pexpire(keys.workers(), HEARD_WITHIN_MS).exec();
    },
    async leave(id) {
      await redis.hdel(keys.workers(), id);
    },
    async list(nowMs) {
      const all = Object.values(await redis.hgetall(keys.workers())).map((json) => JSON.parse(json) as WorkerStatus);
      const gone = all.filter(({ seenAtMs }) => nowMs - seenAtMs > HEARD_WITHIN_MS);
      if (gone.length > 0) redis.hdel(keys.workers(), ...gone.map(({ id }) => id)).catch(() => {});
      const live = all.filter((one) => !gone.includes(one));
      return live.sort((a, b) => a.startedAtMs - b.startedAtMs || (a.id < b.id ? -1 : 1));
    },
  };
}

/**
 * The workers that live, and what they said, read only. Needs no clock: one that fell silent long before the last one was
 * heard has gone, and where none is heard any more, the list ends.
 */
export async function liveWorkers(redis: Redis, keys: Keys): Promise<WorkerStatus[]> {
  const all = (await redis.hvals(keys.workers())).map((json) => JSON.parse(json) as WorkerStatus);
  const newestMs = Math.max(...all.map(({ seenAtMs }) => seenAtMs));
  return all.filter(({ seenAtMs }) => newestMs - seenAtMs <= HEARD_WITHIN_MS);
}

export const hasBrake = ({ brake = true }: Pick<WorkerStatus, 'brake'>): boolean => brake;

/** Has each worker of the list a safety brake? */
export async function whoHasBrake(redis: Redis, keys: Keys): Promise<boolean[]> {
  return (await liveWorkers(redis, keys)).map(hasBrake);
}

export interface Presence {
  /** Stops, and takes the worker from the list: what cannot be told ends by itself. Never throws. */
  close(): Promise<void>;
}

/** Says every few seconds that a worker lives, and does what else is to be looked after as often. */
export function startPresence(
  workers: Workers,
  status: () => WorkerStatus,
  { also, log }: { also(): Promise<void>; log: Log },
): Presence {
  let isSaying = false;
  const say = async (): Promise<void> => {
    // While Redis is away one of them waits for it; the others would only follow it.
    if (isSaying) return;
    isSaying = true;
    try {
      await Promise.all([workers.say(status()), also()]);
    } catch (error) {
      log.debug({ event: 'presence_failed', error: errorName(error) }, 'The list of workers could not be reached');
    } finally {
      isSaying = false;
    }
  };
  const timer = setInterval(say, SAY_EVERY_MS);
  timer.unref();
  say();
  return {
    async close() {
      clearInterval(timer);
      const { id } = status();
      const late = new Promise<void>((resolve) => setTimeout(resolve, 500).unref());
      await Promise.race([workers.leave(id).catch(() => {}), late]);
    },
  };
}
