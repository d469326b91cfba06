import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { networkOf, parseAddress } from '../../src/domain/address.ts';
import { decide, emptyBaseline, learn } from '../../src/domain/decide.ts';
import { DEFAULT_POLICY, type Policy } from '../../src/domain/policy.ts';
import { REASONS, type Reason } from '../../src/domain/reasons.ts';
import type {
  AddressFamily,
  Baseline,
  KnownNetwork,
  Located,
  Place,
  Sighting,
  Unlocatable,
  UnlocatableWhy,
} from '../../src/domain/types.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const T0 = Date.UTC(2026, 0, 1);
const policy = DEFAULT_POLICY;

/** `sight('GB')` is agreed, `sight('GB IE')` disputed, `sight('GB', { agreed: false })` rests on one source. */
function sight(countries: string, { address = '81.2.69.142', agreed = !countries.includes(' ') } = {}): Located {
  const parsed = parseAddress(address);
  if (!parsed.ok) throw new Error(address);
  const { ip, family } = parsed;
  const candidates = countries.split(' ');
  return { kind: 'located', address: ip, family, network: networkOf(ip, family), candidates, agreed, evidence: [] };
}

const nowhere = (why: UnlocatableWhy): Unlocatable => ({ kind: 'unlocatable', why, address: null, evidence: [] });

/** `!` marks a doubtful place: `place('GB!')`, `place('GB IE!')`. */
function place(text: string, lastSeenMs = T0, firstSeenMs = lastSeenMs): Place {
  return { countries: text.replace('!', '').split(' '), agreed: !text.endsWith('!'), firstSeenMs, lastSeenMs };
}

const network = (text: string, lastSeenMs = T0, firstSeenMs = lastSeenMs): KnownNetwork => ({
  network: text,
  firstSeenMs,
  lastSeenMs,
});

const family = (places: Place[], networks: KnownNetwork[] = []) => ({ places, networks });
const none = family([]);
const only4 = (...places: Place[]): Baseline => ({ v4: family(places), v6: none });
const only6 = (...places: Place[]): Baseline => ({ v4: none, v6: family(places) });
const flipping = (four: string, six: string): Baseline => ({ v4: family([place(four)]), v6: family([place(six)]) });
const home4 = (text: string, ...networks: KnownNetwork[]): Baseline => ({
  v4: family([place(text)], networks),
  v6: none,
});

const SIX = '2a02:c7c:1::1';

describe('decide', () => {
  const table: readonly (readonly [string, Baseline, Sighting, Reason])[] = [
    ['special address', only4(place('GB')), nowhere('special_address'), 'special_address'],
    ['special address, nothing known', emptyBaseline, nowhere('special_address'), 'special_address'],
    ['no data', only4(place('GB')), nowhere('no_data'), 'unlocatable'],
    ['a tunnel', only4(place('GB')), nowhere('tunnel'), 'unlocatable'],
    ['no address', emptyBaseline, nowhere('no_address'), 'unlocatable'],
    ['nothing known', emptyBaseline, sight('GB'), 'first_login'],
    ['nothing known, one source', emptyBaseline, sight('GB', { agreed: false }), 'first_login'],
    ['same country', only4(place('GB')), sight('GB'), 'same_country'],
    ['overlap', only4(place('GB IE!')), sight('IE'), 'same_country'],
    ['overlap with the older place', only4(place('FR'), place('GB')), sight('GB'), 'same_country'],
    ['overlap beats related', only4(place('PR'), place('US')), sight('US'), 'same_country'],
    ['related', only4(place('US')), sight('PR'), 'related_territory'],
    ['related to the older place', only4(place('DE'), place('GB')), sight('JE'), 'related_territory'],
    ['both certain', only4(place('GB')), sight('US'), 'country_changed'],
    ['all places certain', only4(place('GB'), place('FR')), sight('US'), 'country_changed'],
    ['the sighting is disputed', only4(place('GB')), sight('US DE'), 'country_disputed'],
    ['the sighting rests on one source', only4(place('GB')), sight('US', { agreed: false }), 'country_disputed'],
    ['the place is doubtful', only4(place('GB!')), sight('US'), 'country_disputed'],
    ['one of the places is doubtful', only4(place('GB'), place('FR IE!')), sight('US'), 'country_disputed'],
    ['same /24 with another country', home4('GB', network('81.2.69.0/24')), sight('US'), 'same_network'],
    ['the /24 next door', home4('GB', network('81.2.70.0/24')), sight('US'), 'country_changed'],
    ['across families, overlap', only4(place('GB')), sight('GB', { address: SIX }), 'same_country'],
    ['across families, related', only4(place('GB')), sight('IM', { address: SIX }), 'related_territory'],
    ['across families, disjoint', only4(place('GB')), sight('US', { address: SIX }), 'country_disputed'],
    ['across families, the other way', only6(place('GB')), sight('US'), 'country_disputed'],
    ['the other family vouches', flipping('US', 'GB'), sight('GB'), 'same_country'],
    ['the other family vouches, related', flipping('US', 'GB'), sight('JE'), 'related_territory'],
    ['the other family vouches for a disputed one', flipping('US', 'GB'), sight('GB RU'), 'same_country'],
    ['the other family vouches, doubtful', flipping('US', 'GB FR!'), sight('FR'), 'same_country'],
    ['own family counts first: it is certain', flipping('US', 'GB FR!'), sight('DE'), 'country_changed'],
    ['own family counts first: it is doubtful', flipping('US FR!', 'GB'), sight('DE'), 'country_disputed'],
    [
      'what has expired in the other family vouches for nothing',
      { v4: family([place('US', T0 + DAY)]), v6: family([place('GB', T0 + DAY - policy.baselineTtlMs)]) },
      sight('GB'),
      'country_changed',
    ],
    [
      'networks without places are nothing to compare',
      { v4: family([], [network('1.2.3.0/24')]), v6: none },
      sight('GB'),
      'first_login',
    ],
  ];
  test.each(table)('%s', (_name, baseline, sighting, reason) => {
    const decision = decide(baseline, sighting, T0 + DAY, policy);
    expect(decision).toEqual({ reason, action: REASONS[reason].action, teaches: REASONS[reason].teaches });
  });

  const TTL = policy.baselineTtlMs;
  const timed: readonly (readonly [string, Baseline, number, Reason])[] = [
    ['a place first seen at that very moment counts', only4(place('GB', T0)), T0, 'country_changed'],
    ['a place first seen later does not', only4(place('GB', T0 + 1)), T0, 'first_login'],
    ['a place seen before and after counts', only4(place('GB', T0 + DAY, T0 - DAY)), T0, 'country_changed'],
    ['of two, only the one known then counts', only4(place('US', T0 + 1), place('GB', T0 - 1)), T0, 'country_changed'],
    [
      'a doubtful place first seen later casts no doubt',
      only4(place('FR!', T0 + 1), place('GB', T0)),
      T0,
      'country_changed',
    ],
    ['a network first seen later does not count', home4('GB', network('81.2.69.0/24', T0 + 1)), T0, 'country_changed'],
    ['an old place counts to the end', only4(place('GB')), T0 + TTL - 1, 'country_changed'],
    ['an expired place does not', only4(place('GB')), T0 + TTL, 'first_login'],
    ['an expired network does not', home4('GB', network('81.2.69.0/24')), T0 + TTL, 'first_login'],
    [
      'an expired doubtful place casts no doubt',
      only4(place('GB', T0 + DAY), place('FR!')),
      T0 + TTL,
      'country_changed',
    ],
    [
      'an expired family gives way to the other',
      { v4: family([place('GB')]), v6: family([place('US', T0 + DAY)]) },
      T0 + TTL,
      'same_country',
    ],
  ];
  test.each(timed)('%s', (_name, baseline, atMs, reason) => {
    expect(decide(baseline, sight('US'), atMs, policy).reason).toBe(reason);
  });
});

describe('learn', () => {
  const first = learn(emptyBaseline, sight('GB'), T0, policy);

  test('a first login starts the baseline of its own family', () => {
    expect(first).toEqual({ v4: family([place('GB')], [network('81.2.69.0/24')]), v6: none });
    expect(learn(emptyBaseline, sight('GB', { address: SIX }), T0, policy)).toEqual({
      v4: none,
      v6: family([place('GB')], [network('2a02:c7c:1::/48')]),
    });
  });

  test.each([
    ['the same login again', 0],
    ['a login a little later', HOUR - 1],
  ])('%s changes nothing, by reference', (_name, laterMs) => {
    expect(learn(first, sight('GB'), T0 + laterMs, policy)).toBe(first);
  });

  test('after refreshMs the last-seen times move', () => {
    const later = T0 + HOUR;
    expect(learn(first, sight('GB'), later, policy).v4).toEqual(
      family([place('GB', later, T0)], [network('81.2.69.0/24', later, T0)]),
    );
  });

  test('a new network within refreshMs is material, and takes the last-seen time of the place along', () => {
    const later = T0 + 1;
    expect(learn(first, sight('GB', { address: '9.9.9.9' }), later, policy).v4).toEqual(
      family([place('GB', later, T0)], [network('9.9.9.0/24', later), network('81.2.69.0/24')]),
    );
  });

  test('the country of a known network is learned too: the block has moved', () => {
    const moved = sight('US');
    expect(decide(first, moved, T0 + 1, policy).reason).toBe('same_network');
    const next = learn(first, moved, T0 + 1, policy);
    expect(next.v4.places).toEqual([place('US', T0 + 1), place('GB')]);
    expect(decide(next, sight('US', { address: '9.9.9.9' }), T0 + 2, policy).reason).toBe('same_country');
  });

  test('agreement is gained, never lost', () => {
    const doubtful = learn(emptyBaseline, sight('GB', { agreed: false }), T0, policy);
    const agreed = learn(doubtful, sight('GB'), T0 + 1, policy);
    expect(agreed.v4.places).toEqual([place('GB', T0 + 1, T0)]);
    expect(learn(agreed, sight('GB', { agreed: false }), T0 + 2, policy)).toBe(agreed);
  });

  test('a late job moves first-seen back, never last-seen', () => {
    const late = learn(first, sight('GB'), T0 - DAY, policy);
    expect(late.v4).toEqual(family([place('GB', T0, T0 - DAY)], [network('81.2.69.0/24', T0, T0 - DAY)]));
  });

  test('a late job takes its place in the order', () => {
    const two = learn(first, sight('FR', { address: '9.9.9.9' }), T0 - DAY, policy);
    expect(two.v4.places.map((entry) => entry.countries)).toEqual([['GB'], ['FR']]);
  });

  test('keeps the most recently seen, bounded', () => {
    const codes = ['AT', 'BE', 'CH', 'DE', 'ES', 'FR', 'GR'];
    const small: Policy = { ...policy, maxNetworks: 3 };
    const baseline = codes.reduce(
      (known, code, day) => learn(known, sight(code, { address: `9.9.${day}.1` }), T0 + day * DAY, small),
      emptyBaseline,
    );
    expect(baseline.v4.places.map((entry) => entry.countries[0])).toEqual(['GR', 'FR', 'ES', 'DE', 'CH']);
    expect(baseline.v4.networks.map((entry) => entry.network)).toEqual(['9.9.6.0/24', '9.9.5.0/24', '9.9.4.0/24']);
    expect(learn(baseline, sight('AT', { address: '9.9.0.1' }), T0, small)).toBe(baseline);
    const again = learn(baseline, sight('CH', { address: '9.9.6.1' }), T0 + 9 * DAY, small);
    expect(again.v4.places.map((entry) => entry.countries[0])).toEqual(['CH', 'GR', 'FR', 'ES', 'DE']);
  });

  test('drops what has expired, in both families, and what comes back starts anew', () => {
    const both = learn(first, sight('GB', { address: SIX }), T0, policy);
    const later = T0 + policy.baselineTtlMs;
    expect(learn(both, sight('GB'), later, policy)).toEqual({
      v4: family([place('GB', later)], [network('81.2.69.0/24', later)]),
      v6: none,
    });
  });

  test('leaves the other family alone', () => {
    const both = learn(first, sight('GB', { address: SIX }), T0 + 1, policy);
    expect(both.v4).toBe(first.v4);
  });

  test('never changes what it was given', () => {
    const text = JSON.stringify(first);
    learn(first, sight('FR IE', { address: '9.9.9.9' }), T0 + DAY, policy);
    expect(JSON.stringify(first)).toBe(text);
  });
});

/**
 * A history, then one login more: each from a network of its own unless `@` names one (`GB@1`), `!` rests on one source.
 * Only what `decide` lets teach is learned, as the worker does it.
 */
function story(text: string): { baseline: Baseline; reason: Reason; action: string } {
  const logins = text.split(';').map((one) => one.trim());
  let baseline = emptyBaseline;
  let last = { reason: 'first_login' as Reason, action: 'allow' };
  for (const [day, login] of logins.entries()) {
    const [countries = '', block = `${100 + day}`] = login.replace('!', '').split('@');
    const disputed = login.includes('!') ? { agreed: false } : {};
    const sighting = sight(countries, { address: `9.9.${block}.1`, ...disputed });
    const decision = decide(baseline, sighting, T0 + day * DAY, policy);
    last = decision;
    if (decision.teaches && day < logins.length - 1) baseline = learn(baseline, sighting, T0 + day * DAY, policy);
  }
  return { baseline, ...last };
}

describe('a phone that flips between the families', () => {
  const known = flipping('GB', 'GB');
  const frenchSix = sight('FR', { address: SIX });

  test('is not ended in one family for what a person called safe in the other', () => {
    expect(decide(known, sight('FR'), T0 + DAY, policy).reason).toBe('country_changed');
    const safe = learn(known, sight('FR'), T0 + DAY, policy);
    expect(decide(safe, frenchSix, T0 + DAY + 1, policy)).toMatchObject({ action: 'allow', reason: 'same_country' });
    expect(decide(safe, sight('DE', { address: SIX }), T0 + DAY + 1, policy).action).toBe('revoke');
  });

  test('a disputed address that the other family vouches for widens nothing', () => {
    const safe = learn(known, sight('FR'), T0 + DAY, policy);
    const next = learn(safe, sight('FR RU', { address: SIX }), T0 + 2 * DAY, policy);
    expect(next.v6).toEqual(family([place('GB')], [network('2a02:c7c:1::/48', T0 + 2 * DAY)]));
    expect(next.v4).toBe(safe.v4);
    expect(decide(next, sight('RU', { address: '2a02:c7c:9::1' }), T0 + 3 * DAY, policy).action).toBe('revoke');
  });
});

describe('a disputed address does not widen what is known', () => {
  const table: readonly (readonly [string, Reason])[] = [
    ['GB; GB RU; RU', 'country_changed'],
    ['GB; GB RU; GB RU; GB RU; RU', 'country_changed'],
    ['GB; GB US; NG', 'country_changed'],
    ['GB; GB US; GB US', 'same_country'],
    ['GB; GB US; US FR', 'country_disputed'],
    ['GB; GB RU@7; RU@7', 'same_network'],
    ['GB; JE FR; FR', 'country_changed'],
    ['GB; JE!; IM', 'related_territory'],
    ['GB@7; RU US@7; RU', 'country_changed'],
    ['GB@7; RU!@7; RU', 'country_changed'],
    // Agreed, a known network's new country is learned.
    ['GB@7; RU@7; RU', 'same_country'],
    // A disputed start is settled by the first agreed login that it allows.
    ['GB US; NG', 'country_disputed'],
    ['GB US; GB; NG', 'country_changed'],
    ['GB US; GB; US', 'country_changed'],
    ['GB US; US; GB', 'country_changed'],
    ['GB US@7; GB; US@7', 'same_network'],
    ['GB US; US FR; US FR', 'same_country'],
    ['GB US; US FR; FR', 'country_disputed'],
    ['GB!; GB; NG', 'country_changed'],
    ['GB!; GB!; NG', 'country_disputed'],
  ];
  test.each(table)('%s: %s', (text, reason) => {
    expect(story(text)).toMatchObject({ reason, action: REASONS[reason].action });
  });

  test('its network is learned, and the place that vouched for it was seen', () => {
    const known = home4('GB', network('9.9.9.0/24'));
    expect(learn(known, sight('GB US'), T0 + DAY, policy).v4).toEqual(
      family([place('GB', T0 + DAY, T0)], [network('81.2.69.0/24', T0 + DAY), network('9.9.9.0/24')]),
    );
  });

  test('of two places that vouch, the one seen last', () => {
    const known = only4(place('GB', T0 + DAY), place('US', T0));
    expect(learn(known, sight('GB US'), T0 + 2 * DAY, policy).v4.places).toEqual([
      place('GB', T0 + 2 * DAY, T0 + DAY),
      place('US', T0),
    ]);
  });

  test('an agreed login settles every disputed place that holds its country, those of older releases too', () => {
    const known = only4(place('GB', T0 + DAY), place('GB US!', T0 + HOUR), place('FR IE!', T0 + 1), place('GB IM!'));
    const next = learn(known, sight('GB'), T0 + DAY, policy);
    expect(next.v4.places).toEqual([place('GB', T0 + DAY), place('FR IE!', T0 + 1)]);
    expect(learn(next, sight('GB'), T0 + DAY, policy)).toBe(next);
  });

  test('the agreed place was seen as late as those it settles, and no earlier than itself', () => {
    const late = learn(only4(place('GB US!', T0 + DAY)), sight('GB'), T0, policy);
    expect(late.v4.places).toEqual([place('GB', T0 + DAY, T0)]);
    const inOrder = learn(only4(place('GB US!')), sight('GB'), T0 + DAY, policy);
    expect(inOrder.v4.places).toEqual([place('GB', T0 + DAY)]);
  });

  test('across the families it starts nothing', () => {
    const next = learn(only4(place('GB')), sight('GB US', { address: SIX }), T0 + DAY, policy);
    expect(next).toEqual({ v4: family([place('GB')]), v6: family([], [network('2a02:c7c:1::/48', T0 + DAY)]) });
    expect(decide(next, sight('US', { address: '2a02:c7c:9::1' }), T0 + 2 * DAY, policy).action).toBe('flag');
  });

  test('a late login from before all the places does not add one', () => {
    const next = learn(only4(place('GB', T0 + DAY)), sight('US FR'), T0, policy);
    expect(next.v4.places).toEqual([place('GB', T0 + DAY)]);
  });

  test('a reviewer`s `safe` of a disputed difference teaches its place: only a person gets it there', () => {
    const next = learn(only4(place('GB')), sight('US FR'), T0 + DAY, policy);
    expect(next.v4.places).toEqual([place('US FR!', T0 + DAY), place('GB')]);
    expect(learn(next, sight('US FR'), T0 + DAY, policy)).toBe(next);
  });
});

const anyTime = fc.integer({ min: T0, max: T0 + 400 * DAY });
const anyCountries = fc
  .uniqueArray(fc.constantFrom('GB', 'IE', 'JE', 'US', 'PR', 'FR'), { minLength: 1, maxLength: 3 })
  .map((codes) => codes.toSorted());
const anyAddress = fc.oneof(
  fc.tuple(fc.nat(9), fc.nat(255)).map(([block, host]) => `81.2.${block}.${host}`),
  fc.tuple(fc.nat(9), fc.nat(255)).map(([block, host]) => `2a02:c7c:${block}::${host}`),
);
const anySighting = fc
  .tuple(anyCountries, anyAddress, fc.boolean())
  .map(([codes, address, agreed]) => sight(codes.join(' '), { address, agreed: agreed && codes.length === 1 }));
const anyPolicy = fc.record({
  maxPlaces: fc.integer({ min: 1, max: 6 }),
  maxNetworks: fc.integer({ min: 1, max: 6 }),
  baselineTtlMs: fc.constantFrom(DAY, 30 * DAY, 180 * DAY),
  refreshMs: fc.constantFrom(0, 1, HOUR),
  anonymousNetwork: fc.constantFrom('allow' as const, 'flag' as const),
});
/** What any order of logins may have taught. */
const anyBaseline = fc
  .array(fc.tuple(anySighting, anyTime), { maxLength: 12 })
  .map((logins) => logins.reduce((known, [sighting, atMs]) => learn(known, sighting, atMs, policy), emptyBaseline));
/** Agreed logins only, all of them before T0. */
const certainBaseline = fc.array(fc.tuple(anySighting, fc.nat(30)), { minLength: 1, maxLength: 4 }).map((logins) =>
  logins.reduce((known, [{ candidates, ...rest }, days]) => {
    const agreed = { ...rest, candidates: candidates.slice(0, 1), agreed: true };
    return learn(known, agreed, T0 - days * DAY, policy);
  }, emptyBaseline),
);

describe('for any history', () => {
  test('an address of a known /24 or /48 is never flagged or revoked', () => {
    fc.assert(
      fc.property(anyBaseline, anySighting, anySighting, anyTime, (baseline, before, after, atMs) => {
        const known = learn(baseline, before, atMs, policy);
        fc.pre([...known.v4.networks, ...known.v6.networks].some((entry) => entry.network === before.network));
        const moved: Located = { ...after, family: before.family, network: before.network };
        expect(decide(known, moved, atMs, policy).reason).toBe('same_network');
      }),
    );
  });

  test('an address without a country is allowed and teaches nothing', () => {
    const why = fc.constantFrom<UnlocatableWhy>('special_address', 'tunnel', 'no_data', 'no_address', 'stale_data');
    fc.assert(
      fc.property(anyBaseline, why, anyTime, (baseline, reason, atMs) => {
        expect(decide(baseline, nowhere(reason), atMs, policy)).toMatchObject({ action: 'allow', teaches: false });
      }),
    );
  });

  test('only what is allowed teaches; nothing is revoked across families', () => {
    fc.assert(
      fc.property(anyBaseline, anySighting, anyTime, (baseline, sighting, atMs) => {
        const decision = decide(baseline, sighting, atMs, policy);
        if (decision.action !== 'allow') expect(decision.teaches).toBe(false);
        const across = sighting.family === 4 ? { ...baseline, v4: none } : { ...baseline, v6: none };
        expect(decide(across, sighting, atMs, policy).action).not.toBe('revoke');
      }),
    );
  });

  test('what was first seen after the login makes no difference', () => {
    fc.assert(
      fc.property(anyBaseline, anySighting, anyTime, (baseline, sighting, atMs) => {
        const then = (entry: { firstSeenMs: number }) => entry.firstSeenMs <= atMs;
        const past = ({ v4, v6 }: Baseline): Baseline => ({
          v4: family(v4.places.filter(then), v4.networks.filter(then)),
          v6: family(v6.places.filter(then), v6.networks.filter(then)),
        });
        expect(decide(baseline, sighting, atMs, policy)).toBe(decide(past(baseline), sighting, atMs, policy));
      }),
    );
  });

  test('a disputed login that is allowed makes nothing pass that was certain before', () => {
    fc.assert(
      fc.property(certainBaseline, anySighting, anySighting, fc.nat(30), (baseline, seen, elsewhere, days) => {
        const atMs = T0 + days * DAY;
        const sighting = { ...seen, agreed: false };
        const probe = { ...elsewhere, candidates: elsewhere.candidates.slice(0, 1), agreed: true };
        fc.pre(decide(baseline, sighting, atMs, policy).teaches);
        fc.pre(decide(baseline, probe, atMs, policy).reason === 'country_changed');
        const reason = probe.network === sighting.network ? 'same_network' : 'country_changed';
        expect(decide(learn(baseline, sighting, atMs, policy), probe, atMs, policy).reason).toBe(reason);
      }),
    );
  });

  test('learning twice is learning once, by reference', () => {
    fc.assert(
      fc.property(anyBaseline, anySighting, anyTime, anyPolicy, (baseline, sighting, atMs, rules) => {
        const once = learn(baseline, sighting, atMs, rules);
        expect(learn(once, sighting, atMs, rules)).toBe(once);
      }),
    );
  });

  test('a baseline stays bounded, ordered and without duplicates', () => {
    const newestFirst = (list: readonly { lastSeenMs: number }[]) =>
      list.every((entry, index) => entry.lastSeenMs <= (list[index - 1]?.lastSeenMs ?? Number.POSITIVE_INFINITY));
    fc.assert(
      fc.property(anyBaseline, ({ v4, v6 }) => {
        for (const { places, networks } of [v4, v6]) {
          expect(places.length).toBeLessThanOrEqual(policy.maxPlaces);
          expect(networks.length).toBeLessThanOrEqual(policy.maxNetworks);
          expect(newestFirst(places) && newestFirst(networks)).toBe(true);
          expect(new Set(places.map((entry) => entry.countries.join())).size).toBe(places.length);
          expect(new Set(networks.map((entry) => entry.network)).size).toBe(networks.length);
          for (const entry of [...places, ...networks]) expect(entry.firstSeenMs).toBeLessThanOrEqual(entry.lastSeenMs);
        }
      }),
    );
  });

  test('a phone that flips between its IPv4 and its IPv6 network never flags, in whatever order', () => {
    const flips = fc.array(fc.constantFrom<AddressFamily>(4, 6), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(anyCountries, anyCountries, flips, (four, six, order) => {
        const phone = { 4: sight(four.join(' ')), 6: sight(six.join(' '), { address: SIX }) };
        let known = learn(learn(emptyBaseline, phone[4], T0, policy), phone[6], T0 + 1, policy);
        for (const [minute, use] of order.entries()) {
          const atMs = T0 + 2 + minute * 60_000;
          expect(decide(known, phone[use], atMs, policy).action).toBe('allow');
          // Another network of the same operator: the country decides.
          const roaming = { ...phone[use], network: use === 4 ? '9.9.9.0/24' : '2a02:c7c:9::/48' };
          expect(decide(known, roaming, atMs, policy).action).toBe('allow');
          known = learn(known, phone[use], atMs, policy);
        }
      }),
    );
  });
});

describe('an address that a source flags', () => {
  const vpn: Located = { ...sight('NL'), flags: ['anonymiser'] };

  test.each<[string, Baseline]>([
    ['nothing known', emptyBaseline],
    ['the same country', only4(place('NL'))],
    ['another country', only4(place('GB'))],
    ['known in the other family only', only6(place('GB'))],
  ])('%s: its country is no evidence', (_name, baseline) => {
    const { action, reason, teaches } = decide(baseline, vpn, T0 + DAY, policy);
    expect({ action, reason, teaches }).toEqual({ action: 'flag', reason: 'anonymous_network', teaches: false });
  });

  test('the policy may let it pass; it still teaches nothing', () => {
    const decision = decide(only4(place('GB')), vpn, T0 + DAY, { ...policy, anonymousNetwork: 'allow' });
    expect(decision).toEqual({ action: 'allow', reason: 'anonymous_network', teaches: false });
  });

  test('from a network that the user is known in, it is the same network', () => {
    const baseline = home4('GB', network(vpn.network));
    expect(decide(baseline, vpn, T0 + DAY, policy).reason).toBe('same_network');
    const taught = learn(baseline, vpn, T0 + DAY, policy);
    expect(taught.v4.places).toEqual(baseline.v4.places);
    expect(taught.v4.networks).toEqual([network(vpn.network, T0 + DAY, T0)]);
  });

  test('a reviewer`s `safe` teaches the network and never the place', () => {
    const taught = learn(only4(place('GB')), vpn, T0 + DAY, policy);
    expect(taught.v4.places).toEqual([place('GB')]);
    expect(decide(taught, vpn, T0 + 2 * DAY, policy).reason).toBe('same_network');
    expect(learn(taught, vpn, T0 + DAY, policy)).toBe(taught);
  });
});
