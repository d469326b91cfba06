import type { Redis } from 'ioredis';
import type { FamilyBaseline, KnownNetwork, Place } from '../domain/types.ts';
import type { BaselineChange, Baselines, Log, StoredBaseline } from '../ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const learn = loadScript('learn-n');

/**
 * There is one such value a user, read and written at most logins: short, flat, and spelled by hand. `r` must stand
 * first, the script reads it there. Places are runs of four (countries, agreed, first seen, last seen), networks of three.
 */
interface Wire {
  r: number;
  4: WireFamily;
  6: WireFamily;
}
type WireFamily = [places: (string | number)[], networks: (string | number)[]];

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
  const { v4, v6 } = baseline;
  return [String(revision), `{"r":${revision + 1},"4":${encodeFamily(v4)},"6":${encodeFamily(v6)}}`];
}

/** Country codes and networks are letters, digits and `.:/`: nothing in them needs escaping. */
function encodeFamily(family: FamilyBaseline): string {
  let places = '';
  for (const { countries, agreed, firstSeenMs, lastSeenMs } of family.places) {
    places += `${places && ','}"${countries.join(',')}",${agreed ? 1 : 0},${firstSeenMs},${lastSeenMs}`;
  }
  let networks = '';
  for (const { network, firstSeenMs, lastSeenMs } of family.networks) {
    networks += `${networks && ','}"${network}",${firstSeenMs},${lastSeenMs}`;
  }
  return `[[${places}],[${networks}]]`;
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

function decodeFamily([flatPlaces, flatNetworks]: WireFamily): FamilyBaseline {
  if (flatPlaces.length === 0 && flatNetworks.length === 0) return EMPTY;
  const places: Place[] = [];
  for (let i = 0; i < flatPlaces.length; i += 4) {
    const [countries, agreed, firstSeenMs, lastSeenMs] = flatPlaces.slice(i, i + 4) as [string, number, number, number];
    const list = countries.length === 2 ? [countries] : countries.split(',');
    places.push({ countries: list, agreed: agreed === 1, firstSeenMs, lastSeenMs });
  }
  const networks: KnownNetwork[] = [];
  for (let i = 0; i < flatNetworks.length; i += 3) {
    networks.push({
      network: flatNetworks[i] as string,
      firstSeenMs: flatNetworks[i + 1] as number,
      lastSeenMs: flatNetworks[i + 2] as number,
    });
  }
  return { places, networks };
}
