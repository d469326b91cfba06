/**
 * Interleavings chosen by a seed. Each party (a request, a revoker) talks to the real Redis through a stand-in whose
 * commands wait until the scheduler lets them go, one at a time; a party's own commands keep their order, as they do on
 * one connection.
 */
import type { Redis } from 'ioredis';

type Step = () => Promise<unknown>;

interface Party {
  readonly steps: Step[];
  done: boolean;
}

/** xorshift32: a seed always gives the same interleaving. */
export function randomFrom(seed: number): () => number {
  let state = (Math.imul(seed, 2654435761) ^ 0x9e3779b9) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

export class Scheduler {
  readonly #redis: Redis;
  readonly #random: () => number;
  /** How likely the party that made the last step makes the next one too (0..1): windows of several steps come up. */
  readonly #sticky: number;
  readonly #parties: Party[] = [];
  readonly #failures: unknown[] = [];

  constructor(redis: Redis, random: () => number) {
    this.#redis = redis;
    this.#random = random;
    this.#sticky = [0, 0.5, 0.8][Math.floor(random() * 3)] ?? 0;
  }

  /** Starts a party; its first command waits for `run`. */
  add(work: (redis: Redis) => Promise<unknown>): void {
    const party: Party = { steps: [], done: false };
    this.#parties.push(party);
    work(this.#standIn(party))
      .catch((error: unknown) => this.#failures.push(error))
      .finally(() => {
        party.done = true;
      });
  }

  /** Until every party has ended. Throws the first failure of a party. */
  async run(): Promise<void> {
    let last: Party | undefined;
    for (;;) {
      await settled();
      const ready = this.#parties.filter(({ steps }) => steps.length > 0);
      if (ready.length === 0 && this.#parties.every(({ done }) => done)) break;
      if (ready.length === 0) continue;
      const again = last !== undefined && last.steps.length > 0 && this.#random() < this.#sticky;
      const next = again ? last : ready[Math.floor(this.#random() * ready.length)];
      last = next;
      await next?.steps.shift()?.();
    }
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  #standIn(party: Party): Redis {
    const wait = (send: () => Promise<unknown>) =>
      new Promise<unknown>((resolve, reject) => {
        party.steps.push(() => send().then(resolve, reject));
      });
    return new Proxy(this.#redis, {
      get(redis, name) {
        const member = Reflect.get(redis, name, redis) as unknown;
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => wait(() => Promise.resolve(Reflect.apply(member, redis, args)));
      },
    });
  }
}

/** All that follows from the last reply without another one has happened. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
