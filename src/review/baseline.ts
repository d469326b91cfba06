import type { Learned } from '../desk-ports.ts';
import { learn } from '../domain/decide.ts';
import { type Incident, type IncidentRecord, maySpeakOfPlace } from '../domain/incident.ts';
import type { Policy } from '../domain/policy.ts';
import { forgetCountry, forgetNetwork } from '../domain/trust.ts';
import type { Baseline } from '../domain/types.ts';
import type { Baselines } from '../ports.ts';

/** How often a baseline that a worker changes at the same time is read again. */
const MAX_ROUNDS = 20;

/**
 * Compare and set: nothing that a worker teaches meanwhile is lost. `change` gives the same baseline back where there is nothing
 * to change; false then.
 */
export async function changeBaseline(
  baselines: Baselines,
  userId: string,
  change: (baseline: Baseline) => Baseline,
): Promise<boolean> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const [stored] = await baselines.load([userId]);
    if (stored === undefined) break;
    const baseline = change(stored.baseline);
    if (baseline === stored.baseline) return false;
    const [saved] = await baselines.save([{ userId, revision: stored.revision, baseline }]);
    if (saved instanceof Error) throw saved;
    if (saved === true) return true;
  }
  throw new Error('the baseline kept changing');
}

/**
 * `safe`: the user's baseline learns where this login came from, so that the owner can log in from there again. True when it
 * was changed. Idempotent: it goes by the time of the answer on record. (Not by the login's: by the time somebody answers
 * that may be too long ago to count.)
 *
 * That holds for a disputed place too, which no login teaches by itself once something is known: a person said that the user
 * was there. Until an agreed login settles which of its countries it was, or it expires, no difference is certain for this
 * user: such logins are flagged, none is ended. (Where it overlaps what is known by now, its network alone is learned.)
 */
export async function teach(
  { baselines, policy }: { readonly baselines: Baselines; readonly policy: Policy },
  { userId, sighting, loginAtMs, resolvedAtMs = loginAtMs }: IncidentRecord,
): Promise<boolean> {
  if (sighting.kind !== 'located') return false;
  return changeBaseline(baselines, userId, (baseline) => learn(baseline, sighting, resolvedAtMs, policy));
}

/** What `safe` taught, as far as the baseline still holds it; null: nothing. What was known before the login is not of it. */
export async function learnedOf(baselines: Baselines, incident: Incident): Promise<Learned | null> {
  const [stored] = await baselines.load([incident.userId]);
  if (stored === undefined) throw new Error('no reply');
  const [had, has] = [namesIn(incident.baseline), namesIn(stored.baseline)];
  const { countries, networks } = namedBy(incident);
  const isNew = (kind: keyof Learned) => (name: string) => has[kind].includes(name) && !had[kind].includes(name);
  const learned = {
    countries: countries.filter(isNew('countries')),
    networks: networks.filter(isNew('networks')),
  };
  return learned.countries.length + learned.networks.length === 0 ? null : learned;
}

/** Takes that out again. What was forgotten; null: nothing was left. Idempotent. */
export async function unlearn(baselines: Baselines, incident: Incident): Promise<Learned | null> {
  const learned = await learnedOf(baselines, incident);
  if (learned === null) return null;
  await changeBaseline(baselines, incident.userId, (baseline) => {
    const without = learned.countries.reduce(forgetCountry, baseline);
    return learned.networks.reduce(forgetNetwork, without);
  });
  return learned;
}

function namedBy(incident: Incident): Learned {
  const { sighting } = incident;
  if (sighting.kind !== 'located' || !maySpeakOfPlace(incident)) return { countries: [], networks: [] };
  return { countries: sighting.candidates, networks: [sighting.network] };
}

function namesIn({ v4, v6 }: Baseline): Learned {
  const places = [...v4.places, ...v6.places];
  return {
    countries: places.flatMap(({ countries }) => countries),
    networks: [...v4.networks, ...v6.networks].map(({ network }) => network),
  };
}
