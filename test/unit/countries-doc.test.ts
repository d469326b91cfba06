import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { related, TERRITORIES } from '../../src/domain/country.ts';

test('docs/countries.md lists the related territories as they are compared', () => {
  const doc = readFileSync(new URL('../../docs/countries.md', import.meta.url), 'utf8');
  const rows = [...doc.matchAll(/^\| ([A-Z]{2}) +\| ([A-Z ]+?) +\|$/gm)].map(([, sovereign, codes]) => [
    sovereign,
    codes,
  ]);
  expect(Object.fromEntries(rows)).toEqual(TERRITORIES);
  for (const [sovereign = '', codes = ''] of rows) {
    for (const code of codes.split(' ')) expect(related([sovereign], [code])).toBe(true);
  }
});

test.each([
  ['CN', 'HK'],
  ['CN', 'TW'],
  ['CN', 'MO'],
  ['HK', 'MO'],
])('%s and %s compare as their own', (a, b) => {
  expect(related([a], [b])).toBe(false);
});
