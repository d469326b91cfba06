import { describe, expect, test } from '@jest/globals';
import { outcomeWords } from '../../../src/console/act-words.ts';
import { readFilter } from '../../../src/console/incident-filter.ts';
import { codeOf, countryList, distancesOf, middleOf } from '../../../src/console/places.ts';
import { ageThen, headline } from '../../../src/console/words.ts';
import { COUNTRIES } from '../../../src/domain/country.ts';
import type { Incident } from '../../../src/domain/incident.ts';
import { span } from '../../../src/domain/plain-words.ts';
import { REASONS, type Reason } from '../../../src/domain/reasons.ts';
import { anIncident, FRANCE, locatedAt } from '../../support/incidents.ts';

describe('the headline says why in plain words', () => {
  const place = (agreed: boolean, ...countries: string[]) => ({ countries, agreed, firstSeenMs: 0, lastSeenMs: 0 });
  const nothing = { places: [], networks: [] };
  const disputed = { ...FRANCE, candidates: ['FR', 'US'], agreed: false };
  const cases: readonly (readonly [string, Partial<Incident>, RegExp])[] = [
    ['ended', {}, /^Ended because .* from United Kingdom \(GB\) and .* France \(FR\)\. Certain on both sides/],
    ['a repeated job', { outcome: 'already_revoked' }, /^Ended because/],
    ['observe mode', { outcome: 'observed', mode: 'observe' }, /^Would have been ended \(observe mode/],
    ['the brake', { outcome: 'observed', mode: 'observe', brake: true }, /^Would have been ended \(the safety brake/],
    ['gone', { outcome: 'not_found' }, /no session left to end/],
    ['another login', { outcome: 'other_login' }, /^Not ended \(its session id belonged to another login/],
    [
      'a disputed address',
      { reason: 'country_disputed', action: 'flag', outcome: 'none', sighting: disputed },
      /^Flagged for review .* France \(FR\) or United States \(US\), which is not certain: the sources differ/,
    ],
    [
      'one source',
      { reason: 'country_disputed', action: 'flag', outcome: 'none', sighting: { ...FRANCE, agreed: false } },
      /only one independent source/,
    ],
    [
      'a disputed baseline',
      { reason: 'country_disputed', baseline: { v4: { places: [place(false, 'GB')], networks: [] }, v6: nothing } },
      /what was known is itself disputed/,
    ],
    [
      'the other family',
      { reason: 'country_disputed', baseline: { v4: nothing, v6: { places: [place(true, 'DE')], networks: [] } } },
      /Germany \(DE\).*only logins of the other address family/,
    ],
    [
      'an anonymiser',
      { reason: 'anonymous_network', action: 'flag', outcome: 'none', sighting: { ...FRANCE, flags: ['anonymiser'] } },
      /belongs to an anonymiser \(VPN, proxy, Tor\)/,
    ],
    ['a reuse', { reason: 'session_reused' }, /two parties hold this login/],
    ['the block list', { reason: 'blocked' }, /the block list refuses/],
  ];
  test.each(cases)('%s', (_, over, words) => {
    expect(headline(anIncident(over))).toMatch(words);
  });

  test('every reason and every outcome has a sentence', () => {
    const outcomes = ['revoked', 'already_revoked', 'not_found', 'other_login', 'observed', 'none'] as const;
    for (const reason of Object.keys(REASONS) as Reason[]) {
      for (const outcome of outcomes) {
        expect(headline(anIncident({ reason, outcome }))).toMatch(/^[A-Z].* because .{20,}\.$/s);
      }
    }
  });
});

describe('places', () => {
  test('are named, with their codes', () => {
    expect(countryList(['DE', 'FR', 'GB'])).toBe('Germany (DE), France (FR) or United Kingdom (GB)');
    expect(countryList([])).toBe('');
  });

  test('the atlas knows nearly all countries by our codes, Kosovo too', () => {
    const missing = [...COUNTRIES].filter((code) => middleOf(code) === null);
    // The atlas has no shape of its own for these: territories drawn with their sovereign.
    expect(missing.sort()).toEqual('BQ BV CC CX GF GI GP MQ RE SJ TK TV UM YT'.split(' '));
    expect([codeOf('276', 'Germany'), codeOf(36, 'Australia'), codeOf(undefined, 'Kosovo')]).toEqual([
      'DE',
      'AU',
      'XK',
    ]);
    expect(codeOf(undefined, 'Siachen Glacier')).toBeNull();
  });

  test('the middle of a country is on its mainland', () => {
    const [longitude = 0, latitude = 0] = middleOf('FR') ?? [];
    expect(longitude).toBeGreaterThan(0);
    expect(longitude).toBeLessThan(5);
    expect(latitude).toBeGreaterThan(45);
    expect(latitude).toBeLessThan(49);
  });

  const london = { countries: ['GB'], agreed: true, firstSeenMs: 0, lastSeenMs: 0 };

  test('a distance says what was measured: middles of countries', () => {
    const [one] = distancesOf([london], FRANCE);
    expect(one).toMatchObject({ from: 'United Kingdom', to: 'France' });
    expect(one?.between).toBe('the middle of United Kingdom and the middle of France');
    expect(one?.km).toBeGreaterThan(700);
    expect(one?.km).toBeLessThan(1100);
  });

  test('coordinates of a city database come before the middle of the country', () => {
    const [evidence] = FRANCE.evidence;
    if (evidence === undefined) throw new Error('no evidence');
    const located = { ...FRANCE, evidence: [{ ...evidence, database: 'City', latitude: 43.3, longitude: 5.4 }] };
    const [one] = distancesOf([london], located);
    expect(one?.between).toBe('the middle of United Kingdom and the coordinates of City');
    // Coordinates of a country that does not count say nothing.
    const [other] = distancesOf([london], { ...located, candidates: ['DE'] });
    expect(other?.between).toContain('the middle of Germany');
  });

  test('there is none where nothing is on the map', () => {
    const nowhere = { kind: 'unlocatable', why: 'no_data', address: null, evidence: [] } as const;
    expect(distancesOf([london], nowhere)).toEqual([]);
    expect(distancesOf([], FRANCE)).toEqual([]);
    expect(distancesOf([london], locatedAt('192.0.2.1', '192.0.2.0/24', 'TV'))).toEqual([]);
  });
});

test.each([
  [999, '999 ms'],
  [59_999, '59 s'],
  [3_600_000, '1 h'],
  [-200_000, '-3 min'],
  [10 * 86_400_000, '10 d'],
])('%d ms is %s', (ms, words) => {
  expect(span(ms)).toBe(words);
});

test.each([
  ['2026-02-27', '2 days old'],
  ['2026-02-28', '1 day old'],
  ['2027-01-01', '0 days old'],
  ['yesterday', null],
  [null, null],
])('a database of %s was %s', (builtOn, words) => {
  expect(ageThen(builtOn, Date.UTC(2026, 2, 1, 12))).toBe(words);
});

describe('the filter', () => {
  const read = (query: string) => readFilter(new URLSearchParams(query));

  test.each([
    ['', { status: 'open' }],
    ['status=all', {}],
    ['status=', {}],
    ['status=safe&action=flag&reason=country_changed', { status: 'safe', action: 'flag', reason: 'country_changed' }],
    ['status=all&country=uk', { country: 'GB' }],
    ['status=all&user=%20a%2Fb', { userId: ' a/b' }],
    ['status=all&address=%202001:DB8:0::1%20', { address: '2001:db8::1' }],
    ['status=all&address=::ffff:192.0.2.7', { address: '192.0.2.7' }],
    ['status=all&network=192.0.2.0/24', { network: '192.0.2.0/24' }],
    ['status=all&network=192.0.2.7', { network: '192.0.2.0/24' }],
    ['status=all&network=2001:db8:1:2::9', { network: '2001:db8:1::/48' }],
    [
      'status=all&from=2026-01-31T23:59&to=2026-02-01',
      { fromMs: Date.UTC(2026, 0, 31, 23, 59), toMs: Date.UTC(2026, 1, 1) },
    ],
  ])('%s', (text, query) => {
    expect(read(text)).toMatchObject({ problems: [] });
    expect(read(text).query).toEqual(query);
  });

  test.each([
    ['status=maybe', 'status'],
    ['action=allow', 'action'],
    ['reason=constructor', 'reason'],
    ['country=ZZ', 'country'],
    ['address=1.2.3', 'address'],
    ['network=10.0.0.0/8', 'network'],
    ['network=nonsense', 'network'],
    ['from=2026-02-31T25:00', 'from'],
    ['to=soon', 'to'],
    [`user=${'x'.repeat(257)}`, 'user'],
  ])('%s is told, and narrows nothing', (text, field) => {
    const { query, problems, values } = read(`status=all&${text}`.replace(/^status=all&status/, 'status'));
    expect(query).toEqual({});
    expect(problems.map((one) => one.field)).toEqual([field]);
    expect(Object.values(values).every((value) => value.length <= 256)).toBe(true);
  });
});

test.each([
  ['given_back', 'given back'],
  ['safe, taught, give_back failed', 'safe, taught, give back failed'],
  ['block user night_shift', 'block user night_shift'],
  ['allow country_pair DE>AT', 'allow country_pair DE>AT'],
])('an outcome on record, %s, reads %s: a name keeps its underscores', (outcome, words) => {
  expect(outcomeWords(outcome)).toBe(words);
});
