/** What is trusted of a user: shown, added to and taken from, by a person's word. */

import type { Actor, Desk, History, Trust } from '../desk-ports.ts';
import { networkOf, parseAddress, parseCidr } from '../domain/address.ts';
import { normaliseCountry } from '../domain/country.ts';
import { namesUser } from '../domain/lists.ts';
import { forgetCountry, forgetNetwork, isUnknown, trustCountry, trustNetwork } from '../domain/trust.ts';
import type { AddressFamily, Baseline } from '../domain/types.ts';
import { BouncerError } from '../errors.ts';
import type { IncidentPage } from '../ports.ts';
import { checkActor, checkWhy, note, type ReviewDeps } from '../review.ts';
import { changeBaseline } from './baseline.ts';

type TrustDeps = Pick<ReviewDeps, 'baselines' | 'policy' | 'lists' | 'audit' | 'clock' | 'log' | 'incidents'> & {
  readonly history: Pick<History, 'list'>;
};
type Acts = Pick<Desk, 'trust' | 'trustCountry' | 'forgetCountry' | 'trustNetwork' | 'forgetNetwork'>;

/** Each throws BouncerError `option_invalid`, and whatever the ports throw when Redis is away. */
export function trustActs(deps: TrustDeps): Acts {
  const change = async (
    what: 'trust' | 'forget_trust',
    { userId, why, actor, thing }: { userId: string; why: string; actor: Actor; thing: string | (() => string) },
    next: (baseline: Baseline) => Baseline,
  ): Promise<boolean> => {
    checkActor(actor);
    checkWhy(why);
    const changed = await changeBaseline(deps.baselines, userId, next);
    const outcome = typeof thing === 'string' ? thing : thing();
    if (changed) await note(deps, [{ what, by: actor.by, why, userId, lid: null, outcome }]);
    return changed;
  };
  return {
    trust: (userId) => trustOf(deps, userId),
    async trustCountry(userId, given, why, actor) {
      const country = countryOf(given);
      const thing = { userId, why, actor, thing: `country ${country}` };
      await change('trust', thing, (baseline) => {
        if (isUnknown(baseline)) throw nothingKnown();
        return trustCountry(baseline, country, deps.clock(), deps.policy);
      });
    },
    async forgetCountry(userId, given, why, actor) {
      const country = countryOf(given);
      const seen = await networksIn(deps, userId, country);
      let networks: readonly string[] = [];
      const thing = () => [`country ${country}`, ...networks.map((one) => `network ${one}`)].join(', ');
      const changed = await change('forget_trust', { userId, why, actor, thing }, (baseline) => {
        networks = trustedNetworks(baseline).filter((one) => seen.has(one));
        return networks.reduce(forgetNetwork, forgetCountry(baseline, country));
      });
      return changed ? { countries: [country], networks } : null;
    },
    async trustNetwork(userId, given, why, actor) {
      const { network, family } = blockOf(given);
      const thing = { userId, why, actor, thing: `network ${network}` };
      await change('trust', thing, (baseline) => trustNetwork(baseline, network, family, deps.clock(), deps.policy));
    },
    forgetNetwork(userId, given, why, actor) {
      const { network } = blockOf(given);
      const thing = { userId, why, actor, thing: `network ${network}` };
      return change('forget_trust', thing, (baseline) => forgetNetwork(baseline, network));
    },
  };
}

async function trustOf({ baselines, lists, clock }: TrustDeps, userId: string): Promise<Trust> {
  const [[stored], entries] = await Promise.all([baselines.load([userId]), lists.list(clock())]);
  if (stored === undefined) throw new Error('no reply');
  return { baseline: stored.baseline, entries: entries.filter((entry) => namesUser(entry, userId)) };
}

const AT_ONCE = 100;
/** More than is ever kept of one user. */
const WHOLE_HISTORY = 10_000;

/**
 * Where the user's logins were seen in that country. Logins from a trusted network are not compared: whoever logged in there
 * would be let in, and teach the country again.
 */
async function networksIn({ incidents, history }: TrustDeps, userId: string, country: string): Promise<Set<string>> {
  const found = new Set<string>();
  for (const { countries, network } of await history.list(userId, WHOLE_HISTORY)) {
    if (network !== null && countries.includes(country)) found.add(network);
  }
  let cursor: string | null = null;
  do {
    const page: IncidentPage = await incidents.list({ userId, country }, AT_ONCE, cursor);
    for (const { sighting } of page.incidents) if (sighting.kind === 'located') found.add(sighting.network);
    cursor = page.cursor;
  } while (cursor !== null);
  return found;
}

function trustedNetworks({ v4, v6 }: Baseline): string[] {
  return [...v4.networks, ...v6.networks].map(({ network }) => network);
}

function countryOf(given: string): string {
  const { country } = normaliseCountry(given);
  if (country === undefined) throw new BouncerError('option_invalid', 'country: give a two-letter code, e.g. FR');
  return country;
}

/** The /24 or /48 around what is given. */
function blockOf(given: string): { network: string; family: AddressFamily } {
  const cidr = parseCidr(given);
  const plain = cidr === null ? null : parseAddress(cidr.text.split('/')[0]);
  const isNarrow = cidr !== null && cidr.prefix >= (cidr.family === 4 ? 24 : 48);
  if (!plain?.ok || !isNarrow) {
    throw new BouncerError(
      'option_invalid',
      'network: give one address or a /24, of IPv6 a /48; lists take larger ones',
    );
  }
  return { network: networkOf(plain.ip, plain.family), family: plain.family };
}

function nothingKnown(): BouncerError {
  return new BouncerError(
    'option_invalid',
    'country: nothing is known of this user yet; the first login starts the baseline, or put the user on the allow list',
  );
}
