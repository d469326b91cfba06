import type { Redis } from 'ioredis';
import type { Clock, Log, SharedClock } from '../ports.ts';

/**
 * The time by Redis' own clock, which is one for all: of what many processes count together, a machine whose clock is wrong must
 * not make a window end early. A clock that was given in place of this machine's is kept to.
 */
export function sharedTime(redis: Redis, clock: Clock): () => Promise<number> {
  if (clock !== Date.now) return async () => clock();
  return () => timeOf(redis);
}

async function timeOf(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}

/** A host whose clock is set right meanwhile is found out after this, milliseconds. */
const MEASURE_EVERY_MS = 60_000;

/** Worth a word to the operator, milliseconds; below half of it, it is over. */
const SKEWED_MS = 5000;

/** Less is the way to Redis and back, milliseconds. */
const MOVED_MS = 1000;

/**
 * The same time without a question for each: how far this host's clock is off is measured where that matters (see the engine). Until
 * then the host's own. No connection begins with it: a process that is still loading its modules would take the answer for late.
 */
export function serverClock(redis: Redis, clock: Clock, log: Log): SharedClock {
  let offsetMs = 0;
  let measuredAt = Number.NEGATIVE_INFINITY;
  let isSkewed = false;
  const note = () => {
    const off = Math.abs(offsetMs);
    if (!isSkewed && off >= SKEWED_MS) {
      const seconds = Math.round(-offsetMs / 1000);
      log.warn({ event: 'clock_skewed', seconds }, "This host's clock differs from that of Redis: let NTP set both");
    }
    isSkewed = off >= (isSkewed ? SKEWED_MS / 2 : SKEWED_MS);
  };
  let asked: Promise<boolean> | null = null;
  const ask = async () => {
    const before = clock();
    const serverMs = await timeOf(redis);
    const was = offsetMs;
    offsetMs = Math.round(serverMs - (before + clock()) / 2);
    measuredAt = performance.now();
    note();
    return Math.abs(offsetMs - was) >= MOVED_MS;
  };
  return {
    now: () => clock() + offsetMs,
    isFresh: () => performance.now() - measuredAt <= MEASURE_EVERY_MS,
    // Whoever comes while it is asked waits for the same answer: fresh is only what was answered.
    measure() {
      asked ??= ask().finally(() => {
        asked = null;
      });
      return asked;
    },
  };
}
