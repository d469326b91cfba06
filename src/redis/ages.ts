import type { Redis } from 'ioredis';
import type { Keys } from './keys.ts';

/** How long the workers keep things, milliseconds. */
export interface Ages {
  readonly baselineTtlMs: number;
  readonly tombstoneTtlMs: number;
}

export interface KnownAges {
  /** The newest word stays, also after the last worker has gone: the next one keeps things as long. Idempotent. */
  say(ages: Ages): Promise<void>;
  /** What no worker has said yet is left out. */
  read(): Promise<Partial<Ages>>;
}

const NAMES = ['baselineTtlMs', 'tombstoneTtlMs'] as const satisfies readonly (keyof Ages)[];

/** Whoever writes to the same records from elsewhere (a desk in a web process) is told no ages: it must not shorten theirs. */
export function redisAges(redis: Redis, keys: Keys): KnownAges {
  return {
    async say(ages) {
      await redis.hset(keys.ages(), ...NAMES.flatMap((name) => [name, String(Math.trunc(ages[name]))]));
    },
    async read() {
      const values = await redis.hmget(keys.ages(), ...NAMES);
      const said = NAMES.map((name, i) => [name, Number(values[i] ?? 0)] as const);
      return Object.fromEntries(said.filter(([, ms]) => ms > 0));
    },
  };
}
