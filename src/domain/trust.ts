/** A person's word on where a user logs in from, put into the baseline or taken out of it. Pure. */

import type { Policy } from './policy.ts';
import type { AddressFamily, Baseline, Country, FamilyBaseline, KnownNetwork, Place } from './types.ts';

/** Is nothing known of where this user logs in from? The first login then starts the baseline, whatever is trusted. */
export function isUnknown({ v4, v6 }: Baseline): boolean {
  return v4.places.length === 0 && v6.places.length === 0;
}

/**
 * The country becomes a certain place, in each address family in which places are known: in an empty one it would be the only
 * place, and the user's own country a certain difference. The same baseline where nothing is known at all.
 */
export function trustCountry(baseline: Baseline, country: Country, atMs: number, policy: Policy): Baseline {
  return both(baseline, (family) => {
    if (family.places.length === 0) return family;
    const isIt = ({ countries }: Place) => countries.length === 1 && countries[0] === country;
    const known = family.places.find(isIt);
    const place = { countries: [country], agreed: true, firstSeenMs: known?.firstSeenMs ?? atMs, lastSeenMs: atMs };
    const others = family.places.filter((one) => !isIt(one));
    return { ...family, places: [place, ...others].slice(0, policy.maxPlaces) };
  });
}

/** Every place with this country goes. The networks stay: in which country each of them is does not stand here. */
export function forgetCountry(baseline: Baseline, country: Country): Baseline {
  return both(baseline, (family) => {
    const places = family.places.filter(({ countries }) => !countries.includes(country));
    return places.length === family.places.length ? family : { ...family, places };
  });
}

/** A /24 or /48 in CIDR form, of this address family: logins from it are not compared. */
export function trustNetwork(
  baseline: Baseline,
  network: string,
  family: AddressFamily,
  atMs: number,
  policy: Policy,
): Baseline {
  const name = family === 4 ? 'v4' : 'v6';
  const { networks, places } = baseline[name];
  const known = networks.find((one) => one.network === network);
  const entry: KnownNetwork = { network, firstSeenMs: known?.firstSeenMs ?? atMs, lastSeenMs: atMs };
  const others = networks.filter((one) => one !== known);
  return { ...baseline, [name]: { places, networks: [entry, ...others].slice(0, policy.maxNetworks) } };
}

export function forgetNetwork(baseline: Baseline, network: string): Baseline {
  return both(baseline, (family) => {
    const networks = family.networks.filter((one) => one.network !== network);
    return networks.length === family.networks.length ? family : { ...family, networks };
  });
}

/** The same baseline where neither family changes. */
function both(baseline: Baseline, change: (family: FamilyBaseline) => FamilyBaseline): Baseline {
  const [v4, v6] = [change(baseline.v4), change(baseline.v6)];
  return v4 === baseline.v4 && v6 === baseline.v6 ? baseline : { v4, v6 };
}
