import type { Redis } from 'ioredis';
import type { FamilyBaseline, KnownNetwork, Place } from '../domain/types.ts';
import type { BaselineChange, Baselines, Log, StoredBaseline } from '../ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const learn = loadScript('learn-n');

/** Short names and arrays: there is one such value a user. `r` must stand first, the script reads it there. */
interface Wire {
  r: number;
  4: WireFamily;
  6: WireFamily;
}
interface WireFamily {
  p: [countries: string, agreed: 0 | 1, firstSeenMs: number, lastSeenMs: number][];
  n: [network: string, firstSeenMs: number, lastSeenMs: number][];
}

export function redisBaselines(redis: Redis, keys: Keys, ttlMs: number, log: Log): Baselines {
  return {
    async load(userIds) {
      if (userIds.length === 0) return [];
      const values = await redis.mget(userIds.map((userId) => keys.baseline(userId)));
      return values.map((value) => decode(value, log));
    },
    async save(changes) {
      if (changes.length === 0) return [];
      const written = await runScript(
        redis,
        learn,
        changes.map((change) => keys.baseline(change.userId)),
        [String(ttlMs), ...changes.flatMap(encode)],
      );
      return (written as number[]).map((one) => (one < 0 ? new Error('baseline key holds another type') : one === 1));
    },
  };
}

function encode({ baseline, revision }: BaselineChange): [string, string] {
  const wire: Wire = { r: revision + 1, 4: encodeFamily(baseline.v4), 6: encodeFamily(baseline.v6) };
  // Integer-like names sort before others in JSON.stringify: the revision is put in front by hand.
  return [String(revision), `{"r":${wire.r},"4":${JSON.stringify(wire[4])},"6":${JSON.stringify(wire[6])}}`];
}

function encodeFamily(family: FamilyBaseline): WireFamily {
  return {
    p: family.places.map((place) => [
      place.countries.join(','),
      place.agreed ? 1 : 0,
      place.firstSeenMs,
      place.lastSeenMs,
    ]),
    n: family.networks.map((known) => [known.network, known.firstSeenMs, known.lastSeenMs]),
  };
}

const EMPTY: FamilyBaseline = { places: [], networks: [] };

/** An unreadable value counts as nothing known: the user is not locked out, and the operator is told. */
function decode(value: string | null, log: Log): StoredBaseline {
  if (value === null) return { baseline: { v4: EMPTY, v6: EMPTY }, revision: 0 };
  try {
    const wire = JSON.parse(value) as Wire;
    return { baseline: { v4: decodeFamily(wire[4]), v6: decodeFamily(wire[6]) }, revision: wire.r };
  } catch {
    log.error({ event: 'baseline_unreadable' }, 'A stored baseline could not be read; it counts as nothing known');
    const revision = Number(/^\{"r":(\d+)/.exec(value)?.[1] ?? 0);
    return { baseline: { v4: EMPTY, v6: EMPTY }, revision };
  }
}

function decodeFamily(wire: WireFamily): FamilyBaseline {
  if (wire.p.length === 0 && wire.n.length === 0) return EMPTY;
  return {
    places: wire.p.map(
      ([countries, agreed, firstSeenMs, lastSeenMs]): Place => ({
        countries: countries.length === 2 ? [countries] : countries.split(','),
        agreed: agreed === 1,
        firstSeenMs,
        lastSeenMs,
      }),
    ),
    networks: wire.n.map(([network, firstSeenMs, lastSeenMs]): KnownNetwork => ({ network, firstSeenMs, lastSeenMs })),
  };
}
