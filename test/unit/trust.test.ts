/** What a person's word does to a baseline. */
import { describe, expect, test } from '@jest/globals';
import { DEFAULT_POLICY } from '../../src/domain/policy.ts';
import { forgetCountry, forgetNetwork, isUnknown, trustCountry, trustNetwork } from '../../src/domain/trust.ts';
import type { Baseline, FamilyBaseline, Place } from '../../src/domain/types.ts';

const NOW = 1_700_000_000_000;
const place = (...countries: string[]): Place => ({ countries, agreed: true, firstSeenMs: 1, lastSeenMs: 2 });
const network = (name: string) => ({ network: name, firstSeenMs: 1, lastSeenMs: 2 });
const family = (places: Place[], networks: string[] = []): FamilyBaseline => ({
  places,
  networks: networks.map(network),
});
const of = (v4: FamilyBaseline, v6: FamilyBaseline = family([])): Baseline => ({ v4, v6 });
const countries = ({ v4, v6 }: Baseline) => [v4, v6].map(({ places }) => places.map((one) => one.countries.join('|')));

describe('a country', () => {
  test('is trusted where places are known, first and certain; an empty family stays empty', () => {
    const after = trustCountry(of(family([place('GB')])), 'FR', NOW, DEFAULT_POLICY);
    expect(countries(after)).toEqual([['FR', 'GB'], []]);
    expect(after.v4.places[0]).toEqual({ countries: ['FR'], agreed: true, firstSeenMs: NOW, lastSeenMs: NOW });
  });

  test('that is known was first seen when it was, and becomes certain', () => {
    const disputed = { ...place('FR'), agreed: false };
    const after = trustCountry(of(family([place('GB'), disputed])), 'FR', NOW, DEFAULT_POLICY);
    expect(after.v4.places).toEqual([
      { countries: ['FR'], agreed: true, firstSeenMs: 1, lastSeenMs: NOW },
      place('GB'),
    ]);
  });

  test('takes no more room than the policy gives', () => {
    const full = of(family(['GB', 'DE', 'ES', 'IT', 'PT'].map((one) => place(one))));
    expect(countries(trustCountry(full, 'FR', NOW, DEFAULT_POLICY))[0]).toEqual(['FR', 'GB', 'DE', 'ES', 'IT']);
  });

  test('of a user of whom nothing is known is not put down: the same baseline', () => {
    const nothing = of(family([]));
    expect(isUnknown(nothing)).toBe(true);
    expect(trustCountry(nothing, 'FR', NOW, DEFAULT_POLICY)).toBe(nothing);
  });

  test('is forgotten with every place that names it, in both families', () => {
    const before = of(family([place('BE', 'FR'), place('GB')], ['90.0.15.0/24']), family([place('FR')]));
    const after = forgetCountry(before, 'FR');
    expect(countries(after)).toEqual([['GB'], []]);
    expect(after.v4.networks).toEqual([network('90.0.15.0/24')]);
    expect(forgetCountry(after, 'FR')).toBe(after);
  });
});

describe('a network', () => {
  test('is trusted in its family and forgotten', () => {
    const before = of(family([place('GB')], ['81.2.69.0/24']));
    const after = trustNetwork(before, '90.0.15.0/24', 4, NOW, DEFAULT_POLICY);
    expect(after.v4.networks.map((one) => one.network)).toEqual(['90.0.15.0/24', '81.2.69.0/24']);
    expect(trustNetwork(before, '2a01:cb00:1::/48', 6, NOW, DEFAULT_POLICY).v6.networks).toHaveLength(1);
    expect(forgetNetwork(after, '90.0.15.0/24')).toEqual(before);
    expect(forgetNetwork(before, '90.0.15.0/24')).toBe(before);
  });
});
