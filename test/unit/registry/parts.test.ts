/** Ranges, whom to ask, names of countries, and what a word settles. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { COUNTRIES } from '../../../src/domain/country.ts';
import { decide, emptyBaseline } from '../../../src/domain/decide.ts';
import type { Incident } from '../../../src/domain/incident.ts';
import { DEFAULT_POLICY } from '../../../src/domain/policy.ts';
import type { RegistryWord } from '../../../src/domain/registry.ts';
import { evidenceOf, locatedByGeofeed, settle } from '../../../src/domain/settle.ts';
import type { Baseline, Located } from '../../../src/domain/types.ts';
import { rdapRegistry, registryOf, whoisRegistry } from '../../../src/geo/registry/bootstrap.ts';
import { countryNamed } from '../../../src/geo/registry/country-names.ts';
import { clippedTo, holds, parseRange, rangeOf, rangeText } from '../../../src/geo/registry/range.ts';

const text = (range: ReturnType<typeof parseRange>) => (range === null ? null : rangeText(range));

describe('ranges', () => {
  test.each([
    ['193.0.9.0 - 193.0.9.255', '193.0.9.0/24'],
    ['193.0.9.0-193.0.9.255', '193.0.9.0/24'],
    ['196.11.239.0 - 196.11.246.255', '196.11.239.0 - 196.11.246.255'],
    ['200.57.128/19', '200.57.128.0/19'],
    ['200/8', '200.0.0.0/8'],
    ['164.163.8.0/22', '164.163.8.0/22'],
    ['074.125.000.000 - 074.125.255.255', '74.125.0.0/16'],
    ['8.8.8.8', '8.8.8.8/32'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['2001:4860:0000:0000:0000:0000:0000:0000 - 2001:4860:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF', '2001:4860::/32'],
    ['0.0.0.0 - 255.255.255.255', '0.0.0.0/0'],
    ['193.0.9.255 - 193.0.9.0', null],
    ['193.0.9.0 - 2001:db8::', null],
    ['193.0.9.0/33', null],
    ['193.0.9.256', null],
    ['193.0.9', null],
    ['0x1.2.3.4', null],
    ['fe80::1%eth0', null],
    ['', null],
    ['x'.repeat(500), null],
  ])('%s', (given, expected) => {
    expect(text(parseRange(given))).toBe(expected);
  });

  test('of RDAP: two ends, with the lengths that an old server writes', () => {
    expect(text(rangeOf('62.239.237.0/32', '62.239.237.255/32'))).toBe('62.239.237.0/24');
    expect(rangeOf('62.239.237.0/33', '62.239.237.255')).toBeNull();
    expect(rangeOf(1, undefined)).toBeNull();
    expect(rangeOf('10.0.0.0', { toString: () => '10.0.0.1' })).toBeNull();
  });

  test('are clipped to the /24 or /48 that was asked', () => {
    const clip = (range: string, ip: string, family: 4 | 6) => {
      const parsed = parseRange(range);
      return parsed === null ? null : rangeText(clippedTo(parsed, ip, family));
    };
    expect(clip('8.0.0.0/8', '8.8.8.8', 4)).toBe('8.8.8.0/24');
    expect(clip('8.8.8.0/26', '8.8.8.8', 4)).toBe('8.8.8.0/26');
    expect(clip('8.8.7.0 - 8.8.8.99', '8.8.8.8', 4)).toBe('8.8.8.0 - 8.8.8.99');
    expect(clip('8.8.8.4 - 8.8.9.99', '8.8.8.8', 4)).toBe('8.8.8.4 - 8.8.8.255');
    expect(clip('2001:4860::/32', '2001:4860:4860::8888', 6)).toBe('2001:4860:4860::/48');
  });

  test('whatever is written, what is read is written again as the same', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(fc.tuple(octet, octet, octet, octet), fc.integer({ min: 0, max: 32 }), (octets, length) => {
        const range = parseRange(`${octets.join('.')}/${length}`);
        expect(range).not.toBeNull();
        if (range === null) return;
        expect(holds(range, octets.join('.'), 4)).toBe(true);
        expect(parseRange(rangeText(range))).toEqual(range);
      }),
    );
  });

  test('no text makes them throw', () => {
    fc.assert(fc.property(fc.string(), (any) => void parseRange(any)));
    expect(parseRange('1.1.1.1 - ')).toBeNull();
  });
});

describe('whom to ask', () => {
  test.each([
    ['8.8.8.8', 4, 'arin'],
    ['193.0.6.139', 4, 'ripe'],
    ['1.1.1.1', 4, 'apnic'],
    ['200.3.13.10', 4, 'lacnic'],
    ['196.216.2.1', 4, 'afrinic'],
    ['0.1.2.3', 4, null],
    ['240.0.0.1', 4, null],
    ['2001:4860:4860::8888', 6, 'arin'],
    ['2a00:1450::1', 6, 'ripe'],
    ['2410::1', 6, 'apnic'],
    ['2001:200::1', 6, 'apnic'],
    ['2001:1200::1', 6, 'lacnic'],
    ['2c0f::1', 6, 'afrinic'],
    ['3ffe::1', 6, null],
  ] as const)('%s', (ip, family, registry) => {
    expect(registryOf(ip, family)).toBe(registry);
  });

  test('only hosts on the list, whatever the case', () => {
    expect(rdapRegistry('RDAP.db.ripe.net')).toBe('ripe');
    expect(whoisRegistry('whois.registro.br')).toBe('lacnic');
    for (const host of ['', 'ripe.net', 'rdap.arin.net.', 'xrdap.arin.net', 'whois.arin.net', '__proto__']) {
      expect(rdapRegistry(host)).toBeNull();
    }
  });
});

describe('names of countries', () => {
  test.each([
    ['UNITED STATES', 'US'],
    ['United States of America', 'US'],
    ['Korea, Republic of', 'KR'],
    ["Korea (Democratic People's Republic of)", 'KP'],
    ['Viet Nam', 'VN'],
    ['Türkiye', 'TR'],
    ['Côte d’Ivoire', 'CI'],
    ['St. Kitts & Nevis', 'KN'],
    ['The Netherlands', 'NL'],
    ['uk', 'GB'],
    ['EU', null],
    ['Europe', null],
    ['', null],
    ['x'.repeat(200), null],
  ])('%s', (name, code) => {
    expect(countryNamed(name)).toBe(code);
  });

  test('every code has an English name that leads to it', () => {
    const names = new Intl.DisplayNames('en', { type: 'region' });
    const wrong = [...COUNTRIES].filter((code) => countryNamed(names.of(code) ?? '') !== code);
    expect(wrong).toEqual([]);
  });
});

const AT = Date.UTC(2026, 10, 22);
const place = (...countries: string[]) => ({ countries, agreed: true, firstSeenMs: AT - 1e6, lastSeenMs: AT - 1e6 });

function baselineOf(...countries: string[]): Baseline {
  return { ...emptyBaseline, v4: { places: countries.map((country) => place(country)), networks: [] } };
}

function incidentOf(baseline: Baseline, candidates: string[], agreed = false): Incident {
  const sighting: Located = {
    kind: 'located',
    address: '8.8.8.8',
    family: 4,
    network: '8.8.8.0/24',
    candidates,
    agreed,
    evidence: [],
  };
  return { baseline, sighting, loginAtMs: AT, reason: 'country_disputed' } as unknown as Incident;
}

function wordOf(country: string | null, feed: string | null | undefined): RegistryWord {
  return {
    registry: 'ripe',
    status: 'ok',
    via: 'rdap',
    server: 'rdap.db.ripe.net',
    range: '8.8.0.0/16',
    country,
    geofeed: feed === undefined ? null : { host: 'g.example', prefix: '8.8.8.0/24', country: feed },
    atMs: AT,
  };
}

describe('what a word settles', () => {
  test.each([
    ['the user’s, and the registry’s', incidentOf(baselineOf('GB'), ['DE', 'NL']), wordOf('GB', 'GB'), 'same_country'],
    ['a territory of it', incidentOf(baselineOf('GB'), ['DE', 'NL']), wordOf('GB', 'JE'), 'same_country'],
    ['one of several', incidentOf(baselineOf('FR', 'GB'), ['DE', 'NL']), wordOf('GB', 'GB'), 'same_country'],
    ['the user’s and a database’s', incidentOf(baselineOf('GB'), ['GB', 'NL']), wordOf('US', 'GB'), 'same_country'],
    ['a territory of a database’s', incidentOf(baselineOf('JE'), ['GB', 'NL']), wordOf('US', 'JE'), 'same_country'],
    ['named by nobody else', incidentOf(baselineOf('GB'), ['DE', 'NL']), wordOf('US', 'GB'), 'contradicts_databases'],
    ['by no registry', incidentOf(baselineOf('GB'), ['DE', 'NL']), wordOf(null, 'GB'), 'contradicts_databases'],
    ['nor one database', incidentOf(baselineOf('GB'), ['DE']), wordOf(null, 'GB'), 'contradicts_databases'],
    ['another one', incidentOf(baselineOf('GB'), ['DE', 'NL']), wordOf('GB', 'DE'), 'elsewhere'],
    ['against two databases', incidentOf(baselineOf('GB'), ['DE'], true), wordOf('GB', 'GB'), 'contradicts_databases'],
    ['the registry alone', incidentOf(baselineOf('GB'), ['DE', 'NL']), wordOf('GB', undefined), 'recorded'],
    ['a row without a country', incidentOf(baselineOf('GB'), ['DE', 'NL']), wordOf('GB', null), 'recorded'],
    ['nothing to compare with', incidentOf(emptyBaseline, ['DE', 'NL']), wordOf('GB', 'GB'), 'recorded'],
  ])('%s', (_, incident, word, settlement) => {
    expect(settle(incident, word, DEFAULT_POLICY)).toBe(settlement);
  });

  test('what databases flagged stays flagged where only a geofeed places it', () => {
    const before = {
      kind: 'unlocatable',
      why: 'no_data',
      address: '8.8.8.8',
      flags: ['anonymiser'],
      evidence: [],
    } as const;
    const where = { address: '8.8.8.8', family: 4, network: '8.8.8.0/24' } as const;
    const sighting = locatedByGeofeed(before, wordOf('GB', 'GB'), where);
    expect(sighting).toMatchObject({ candidates: ['GB'], flags: ['anonymiser'] });
    expect(sighting && decide(baselineOf('GB'), sighting, AT, DEFAULT_POLICY)).toMatchObject({
      reason: 'anonymous_network',
    });
  });

  test('evidence says who, when, for which addresses, and that a holder is no place', () => {
    expect(evidenceOf(wordOf('US', 'GB'), 'same_country')).toEqual([
      { database: 'ripe rdap', builtOn: '2026-11-22', country: 'US', network: '8.8.0.0/16', note: 'holder' },
      {
        database: 'geofeed g.example',
        builtOn: '2026-11-22',
        country: 'GB',
        network: '8.8.8.0/24',
        note: 'same_country',
      },
    ]);
  });
});
