import { describe, expect, test } from '@jest/globals';
import { emptyBaseline } from '../../src/domain/decide.ts';
import { decideWithLists } from '../../src/domain/decide-listed.ts';
import { compileLists } from '../../src/domain/list-match.ts';
import { checkListEntry, checkListValue, type ListEntry, type ListKind, namesUser } from '../../src/domain/lists.ts';
import { DEFAULT_POLICY } from '../../src/domain/policy.ts';
import type { AddressFlag, Baseline, Located, Place, Sighting } from '../../src/domain/types.ts';

const NOW = Date.parse('2026-06-01T12:00:00Z');

test.each<[ListKind, string, string, boolean]>([
  ['user', 'alice', 'alice', true],
  ['user', 'alice b', 'alice', false],
  ['device', 'alice laptop', 'alice', true],
  // Of the user `alice b`: neither shown nor erased with `alice`.
  ['device', 'alice b laptop', 'alice', false],
  ['device', 'alice b laptop', 'alice b', true],
  ['address', 'alice', 'alice', false],
])('%s `%s` names `%s`: %s', (kind, value, userId, expected) => {
  expect(namesUser({ kind, value }, userId)).toBe(expected);
});

describe('checkListValue', () => {
  test.each<[ListKind, string, string | null]>([
    ['address', '203.0.113.7', '203.0.113.7'],
    ['address', '2001:DB8:0::1', '2001:db8::1'],
    ['address', '::ffff:203.0.113.7', '203.0.113.7'],
    ['address', '203.0.113.0/24', null],
    ['address', 'example.org', null],
    ['network', '203.0.113.77/24', '203.0.113.0/24'],
    ['network', '2001:db8:ffff::/32', '2001:db8::/32'],
    ['network', '10.0.0.0/8', '10.0.0.0/8'],
    ['network', '0.0.0.0/0', null],
    ['network', '16.0.0.0/7', null],
    ['network', '2000::/3', null],
    ['network', '203.0.113.7', null],
    ['asn', '64500', '64500'],
    ['asn', 'AS4294967295', '4294967295'],
    ['asn', '4294967296', null],
    ['asn', '0', null],
    ['asn', '1.5', null],
    ['country', 'fr', 'FR'],
    ['country', 'uk', 'GB'],
    ['country', 'EU', null],
    ['country_pair', 'de>fr', 'DE>FR'],
    ['country_pair', 'DE > FR', 'DE>FR'],
    ['country_pair', 'DE>DE', null],
    ['country_pair', 'DE>FR>GB', null],
    ['country_pair', 'DE', null],
    ['user', 'alice', 'alice'],
    ['user', 'x'.repeat(257), null],
    ['user', '', null],
    ['device', 'alice smith laptop-1', 'alice smith laptop-1'],
    ['device', 'alice', null],
    ['device', 'alice ', null],
  ])('%s %p is %p', (kind, value, canonical) => {
    if (canonical === null) {
      expect(() => checkListValue(kind, value)).toThrow(expect.objectContaining({ code: 'option_invalid' }));
    } else expect(checkListValue(kind, value)).toBe(canonical);
  });

  const good = { list: 'block', kind: 'country', value: ' fr ', by: 'ann', why: 'stolen', expiresAtMs: null } as const;
  test.each([
    [{ list: 'deny' }],
    [{ kind: 'email' }],
    [{ by: ' ' }],
    [{ why: '' }],
    [{ why: 'x'.repeat(501) }],
    [{ expiresAtMs: NOW }],
    [{ expiresAtMs: 1.5e300 }],
    [{ value: 7 }],
  ])('an entry with %p is refused', (wrong) => {
    expect(checkListEntry(good, NOW)).toEqual({ ...good, value: 'FR' });
    expect(() => checkListEntry({ ...good, ...wrong } as never, NOW)).toThrow(
      expect.objectContaining({ code: 'option_invalid' }),
    );
  });
});

test.each(['user', 'device'] as const)('blanks around a user id are part of it, of a %s', (kind) => {
  const value = kind === 'user' ? ' bob ' : ' bob  phone';
  const entry = { list: 'block', kind, value, by: 'ann', why: 'stolen', expiresAtMs: null } as const;
  expect(checkListEntry(entry, NOW)).toEqual(entry);
  expect(namesUser(checkListEntry(entry, NOW), ' bob ')).toBe(true);
  expect(namesUser(checkListEntry(entry, NOW), 'bob')).toBe(false);
});

let serial = 0;
function entry(list: 'allow' | 'block', kind: ListKind, value: string, expiresAtMs: number | null = null): ListEntry {
  return {
    id: `${list} ${kind} ${value} ${++serial}`,
    list,
    kind,
    value,
    by: 'ann',
    why: 'w',
    expiresAtMs,
    createdAtMs: 0,
  };
}

function located(address: string, candidates: string[], more: { asn?: number; flags?: AddressFlag[] } = {}): Located {
  const family = address.includes(':') ? 6 : 4;
  const evidence = [{ database: 'x', builtOn: null, country: null, network: null, asn: more.asn }];
  const { flags } = more;
  return {
    kind: 'located',
    address,
    family,
    network: 'n',
    candidates,
    agreed: true,
    evidence,
    ...(flags && { flags }),
  };
}

const place = (...countries: string[]): Place => ({
  countries,
  agreed: true,
  firstSeenMs: NOW - 1e6,
  lastSeenMs: NOW - 1e6,
});
const IN_FR = located('203.0.113.7', ['FR'], { asn: 64500 });

/** All of them match the login; each line leaves out those before it. */
const BY_PRECEDENCE = [
  entry('allow', 'address', '203.0.113.7'),
  entry('block', 'network', '203.0.113.0/28'),
  entry('allow', 'network', '203.0.0.0/16'),
  entry('block', 'device', 'alice d1'),
  entry('allow', 'user', 'alice'),
  entry('block', 'asn', '64500'),
  entry('allow', 'country_pair', 'DE>FR'),
  entry('block', 'country', 'FR'),
];

describe('compileLists', () => {
  const alice = { userId: 'alice', deviceId: 'd1', sighting: IN_FR as Sighting, places: [place('DE')] };
  const match = (entries: ListEntry[], subject = {}, nowMs = NOW) =>
    compileLists(entries).match({ ...alice, ...subject }, nowMs);

  test.each(BY_PRECEDENCE.map((one, i) => [`${one.kind} ${one.value}`, i] as const))(
    'the most specific decides: %s',
    (_, i) => {
      const rest = BY_PRECEDENCE.slice(i);
      expect(match(rest)).toBe(rest[0]);
      expect(match(rest.toReversed())).toBe(rest[0]);
    },
  );

  test.each(BY_PRECEDENCE.map(({ kind, value }) => [kind, value] as const))(
    'block beats allow of the same kind: %s %s',
    (kind, value) => {
      const [allow, block] = [entry('allow', kind, value), entry('block', kind, value)];
      expect(match([allow, block])).toBe(block);
      expect(match([allow])).toBe(allow);
    },
  );

  test('what has expired never matches, and leaves the decision to the others', () => {
    const ended = entry('block', 'address', '203.0.113.7', NOW);
    const lives = entry('block', 'user', 'alice', NOW + 1);
    expect(match([ended, lives])).toBe(lives);
    expect(match([ended, lives], {}, NOW + 1)).toBeNull();
    expect(match([ended, lives], {}, NOW - 1)).toBe(ended);
  });

  test.each([
    ['203.0.113.7', '203.0.113.0/25', true],
    ['203.0.113.200', '203.0.113.0/25', false],
    ['2001:db8:1::5', '2001:db8::/32', true],
    ['2001:db9::5', '2001:db8::/32', false],
    ['1.2.3.4', '2001:db8::/32', false],
  ])('%s in %s: %p', (address, block, isIn) => {
    expect(match([entry('block', 'network', block)], { sighting: located(address, ['FR']) }) !== null).toBe(isIn);
  });

  test('an address without a country, and none at all', () => {
    const nowhere = { kind: 'unlocatable', why: 'no_data', address: '203.0.113.7', evidence: [] } as const;
    const all = [entry('block', 'network', '203.0.113.0/24'), entry('block', 'country', 'FR')];
    expect(match(all, { sighting: nowhere })).toBe(all[0]);
    expect(match(all, { sighting: { ...nowhere, address: null } })).toBeNull();
    const user = entry('allow', 'user', 'alice');
    expect(match([...all, user], { sighting: { ...nowhere, address: null } })).toBe(user);
  });

  test('a device id with a blank cannot pass for a device of another user', () => {
    const lists = [entry('allow', 'device', 'alice smith d1')];
    expect(match(lists, { userId: 'alice smith', deviceId: 'd1' })).toBe(lists[0]);
    expect(match(lists, { userId: 'alice', deviceId: 'smith d1' })).toBeNull();
    expect(match(lists, { userId: 'alice smith', deviceId: undefined })).toBeNull();
  });

  const both = located('203.0.113.7', ['DE', 'FR']);
  const vpn = located('203.0.113.7', ['FR'], { flags: ['anonymiser'] });
  test.each<[string, ListEntry[], Located, string[][], number | null]>([
    ['a disputed address is not blocked for one of its countries', [entry('block', 'country', 'FR')], both, [], null],
    ['but for all', [entry('block', 'country', 'FR'), entry('block', 'country', 'DE')], both, [], 1],
    ['it is allowed for one', [entry('allow', 'country', 'FR')], both, [], 0],
    ['the country of a flagged address excuses nobody', [entry('allow', 'country', 'FR')], vpn, [], null],
    ['and blocks', [entry('block', 'country', 'FR')], vpn, [], 0],
    ['a pair: from the known country', [entry('block', 'country_pair', 'GB>FR')], IN_FR, [['GB']], 0],
    ['not from another', [entry('block', 'country_pair', 'DE>FR')], IN_FR, [['GB']], null],
    ['not from nowhere', [entry('block', 'country_pair', 'GB>FR')], IN_FR, [], null],
    [
      'not where the user is at home there too',
      [entry('block', 'country_pair', 'GB>FR')],
      IN_FR,
      [['GB'], ['FR']],
      null,
    ],
    ['a block takes all the known places', [entry('block', 'country_pair', 'GB>FR')], IN_FR, [['GB'], ['US']], null],
    ['an allow takes one', [entry('allow', 'country_pair', 'GB>FR')], IN_FR, [['US'], ['GB']], 0],
    ['a flagged address is no way', [entry('allow', 'country_pair', 'GB>FR')], vpn, [['GB']], null],
  ])('%s', (_, lists, sighting, known, decides) => {
    const places = known.map((countries) => place(...countries));
    expect(match(lists, { sighting, places })).toBe(decides === null ? null : lists[decides]);
  });

  test('the one of ten thousand entries is found', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => entry('block', 'network', `11.${i >> 8}.${i & 255}.0/24`));
    const matcher = compileLists([...many, entry('block', 'network', '203.0.113.0/24')]);
    expect(matcher.match(alice, NOW)?.value).toBe('203.0.113.0/24');
    expect(matcher.match({ ...alice, sighting: located('11.39.15.9', ['FR']) }, NOW)?.value).toBe('11.39.15.0/24');
    expect(matcher.match({ ...alice, sighting: located('11.39.16.9', ['FR']) }, NOW)).toBeNull();
  });
});

describe('decideWithLists', () => {
  const known: Baseline = { v4: { places: [place('DE')], networks: [] }, v6: emptyBaseline.v6 };
  const decided = (sighting: Sighting, lists: ListEntry[], baseline = known) =>
    decideWithLists(
      { login: { userId: 'alice' }, baseline, sighting, atMs: NOW, nowMs: NOW },
      DEFAULT_POLICY,
      compileLists(lists),
    );
  const nowhere: Sighting = { kind: 'unlocatable', why: 'no_data', address: '203.0.113.7', evidence: [] };
  const block = entry('block', 'user', 'alice');
  const allow = entry('allow', 'user', 'alice');

  test.each<[string, Sighting, ListEntry[], object]>([
    ['nothing on the lists', IN_FR, [], { reason: 'country_changed', action: 'revoke' }],
    ['an allow excuses', IN_FR, [allow], { reason: 'allowed_by_list', action: 'allow', teaches: false }],
    [
      'an ordinary login stays one, and teaches',
      located('9.9.9.9', ['DE']),
      [allow],
      { reason: 'same_country', teaches: true },
    ],
    [
      'a block refuses the ordinary one',
      located('9.9.9.9', ['DE']),
      [block],
      { reason: 'blocked', action: 'revoke', teaches: false },
    ],
    ['a block refuses without a country', nowhere, [block], { reason: 'blocked', action: 'revoke' }],
    ['an allow leaves the unknown unknown', nowhere, [allow], { reason: 'unlocatable', action: 'allow' }],
  ])('%s', (_, sighting, lists, expected) => {
    const { decision, entry: by } = decided(sighting, lists);
    expect(decision).toMatchObject(expected);
    expect(by).toBe(decision.reason === 'blocked' || decision.reason === 'allowed_by_list' ? lists[0] : null);
  });

  test('a place that has expired makes no pair', () => {
    const old = { ...place('DE'), lastSeenMs: NOW - DEFAULT_POLICY.baselineTtlMs };
    const pair = [entry('block', 'country_pair', 'DE>FR')];
    expect(decided(IN_FR, pair).decision.reason).toBe('blocked');
    const expired = { v4: { places: [old], networks: [] }, v6: emptyBaseline.v6 };
    expect(decided(IN_FR, pair, expired).decision.reason).toBe('first_login');
  });
});
