import { beforeAll, describe, expect, test } from '@jest/globals';
import { keysFor } from '../../src/redis/keys.ts';
import { fuzz, type Mutants, type Place, play } from '../support/fuzz-world.ts';
import { connect, privateRedis, testPrefix } from '../support/index.ts';

const RUNS = 3000;
/** They take as long as they take: nothing here is about time, and the machine may have much else to do. */
const LIMIT_MS = 600_000;

let place: Place;

/** A server of this file's own: a hundred thousand keys come of it. */
beforeAll(async () => {
  place = { redis: connect((await privateRedis()).url), keys: keysFor(testPrefix()) };
});

describe('random interleavings of a thief who rotates three times, a second tab, a stale saver and the revoker', () => {
  test(
    `${RUNS} of them leave no live session of the revoked login`,
    async () => {
      expect(await fuzz(place, RUNS)).toEqual([]);
    },
    LIMIT_MS,
  );

  // A fuzz that cannot fail proves nothing: with either side's order swapped it must find live sessions.
  const mutants: [string, Mutants][] = [
    ["the writer's order (saved before it is enrolled)", { writer: 'save_before_enroll' }],
    ["the revoker's order (the mark last)", { revoker: 'mark_last' }],
  ];
  test.each(mutants)(
    'the same fuzz finds %s',
    async (_name, mutant) => {
      const found = await fuzz(place, RUNS, mutant);
      console.info(`${found.length} of ${RUNS} interleavings left a live session`);
      expect(found.length).toBeGreaterThanOrEqual(5);
      // A seed gives the same interleaving again.
      expect(await play(place, found[0] ?? -1, mutant)).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );
});
