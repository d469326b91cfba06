import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { COUNTRIES, compareCountries, normaliseCountry, overlaps, related } from '../../src/domain/country.ts';

interface CompareCase {
  baseline: string[];
  current: string[];
  currentFlags?: string[];
  expect: string;
  note: string;
}

const cases: CompareCase[] = JSON.parse(
  readFileSync(new URL('../fixtures/country-compare-cases.json', import.meta.url), 'utf8'),
);

describe('normaliseCountry', () => {
  test('knows the 249 codes of ISO 3166-1, and XK', () => {
    expect(COUNTRIES.size).toBe(250);
    expect(COUNTRIES.has('XK')).toBe(true);
    for (const code of COUNTRIES) expect(normaliseCountry(code.toLowerCase())).toEqual({ country: code });
  });

  test('every code but XK has an English name in the runtime', () => {
    const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' });
    for (const code of COUNTRIES) expect([code, names.of(code)]).toEqual([code, expect.any(String)]);
  });

  test.each([
    ['UK', 'GB'],
    ['uk', 'GB'],
    ['EL', 'GR'],
    ['gB', 'GB'],
  ])('%s is %s', (code, country) => {
    expect(normaliseCountry(code)).toEqual({ country });
  });

  test.each(['EU', 'AP', 'ZZ', 'XX', 'T1', 'A1', 'A2', 'O1', 'eu', 't1'])('%s is no country', (code) => {
    expect(normaliseCountry(code)).toEqual({ note: `pseudo:${code.toUpperCase()}` });
  });

  test.each(['AN', 'CS', 'SU', 'YU', 'TP', 'BU', 'DD', 'FX', 'ZR', 'an'])('%s is withdrawn', (code) => {
    expect(normaliseCountry(code)).toEqual({ note: `withdrawn:${code.toUpperCase()}` });
  });

  test.each([
    '',
    'G',
    'GBR',
    'QQ',
    '--',
    ' GB',
    'GB ',
    '\u0131s',
    '\u017fe',
    'ﬁ',
    'ß',
    '<b',
    null,
    undefined,
    44,
    ['GB'],
    { country: 'GB' },
  ])('%j is unknown, and never given back', (code) => {
    expect(normaliseCountry(code)).toEqual({ note: 'unknown_code' });
  });

  test('any input: a known code or a fixed note', () => {
    const input = fc.oneof(fc.anything(), fc.string({ minLength: 2, maxLength: 2, unit: 'binary' }));
    fc.assert(
      fc.property(input, (code) => {
        const { country, note } = normaliseCountry(code);
        if (country === undefined) expect(note).toMatch(/^(unknown_code|(pseudo|withdrawn):[A-Z][A-Z0-9])$/);
        else expect(COUNTRIES.has(country)).toBe(true);
      }),
    );
  });
});

describe('compareCountries', () => {
  test.each(cases)(
    '$baseline and $current ($currentFlags): $expect',
    ({ baseline, current, currentFlags, expect: expected }) => {
      expect(compareCountries(baseline, current, currentFlags)).toBe(expected);
    },
  );

  test.each([
    [['GB', 'EU'], ['GB'], 'match'],
    [['GB', 'EU'], ['EU'], 'unknown'],
    [['EU'], ['EU'], 'unknown'],
    [[], ['GB'], 'unknown'],
    [['GB'], [], 'unknown'],
    [['GB', 'US'], ['PR', 'DE'], 'related'],
    [['JE'], ['GG'], 'related'],
    [['PR'], ['GU'], 'related'],
    [['PR'], ['GG'], 'mismatch'],
    [['TW'], ['CN'], 'mismatch'],
    [['MO'], ['HK'], 'mismatch'],
    [['NZ'], ['CK'], 'related'],
    [['AU'], ['NF'], 'related'],
    [['AU'], ['NZ'], 'mismatch'],
    [['RS'], ['XK'], 'mismatch'],
    [['el'], ['GR'], 'match'],
    [['YU'], ['RS'], 'unknown'],
  ])('%j and %j: %s', (baseline, current, expected) => {
    expect(compareCountries(baseline, current)).toBe(expected);
  });

  test.each(['anycast', 'anonymiser', 'anonymizer', 'hosting', 'proxy', 'satellite', 'tor', 'vpn'])(
    'an address flagged %s is no evidence',
    (flag) => {
      expect(compareCountries(['GB'], ['GB'], ['relay', flag])).toBe('unknown');
    },
  );

  test('is symmetric, and a set always matches itself', () => {
    const set = fc.uniqueArray(fc.constantFrom(...COUNTRIES), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(set, set, (a, b) => {
        expect(compareCountries(a, b)).toBe(compareCountries(b, a));
        expect(compareCountries(a, a)).toBe('match');
        expect(overlaps(a, b)).toBe(a.some((country) => b.includes(country)));
        if (overlaps(a, b)) expect(related(a, b)).toBe(true);
      }),
    );
  });
});
