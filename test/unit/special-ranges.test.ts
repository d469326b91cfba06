import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { parseAddress } from '../../src/domain/address.ts';
import { SPECIAL_RANGES_DAY } from '../../src/domain/special-ranges.ts';

const path = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));

/** The fixtures have the registries' rows and layout; they were typed from the registries' text, not downloaded. */
function generated(v4 = 'test/fixtures/iana-ipv4-special-registry.csv'): string {
  const files = [v4, 'test/fixtures/iana-ipv6-special-registry.csv'].map(path);
  return execFileSync(process.execPath, [path('scripts/special-ranges.mjs'), SPECIAL_RANGES_DAY, ...files], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

/** What the formatter may change. */
const bare = (text: string) => text.replace(/[\s,]+/g, '');

test('the table in the source is what the script makes of the registries', () => {
  expect(bare(generated())).toBe(bare(readFileSync(path('src/domain/special-ranges.ts'), 'utf8')));
});

test('a file that is no registry is refused, not made into an empty table', () => {
  expect(() => generated('package.json')).toThrow();
});

describe('tunnels name the client`s IPv4 address where the format holds it', () => {
  test.each([
    ['6to4', '2002:5102:458e::1', '6to4', '81.2.69.142'],
    ['Teredo: the inverted client, not the server', '2001:0:4136:e378:8000:63bf:aefd:ba71', 'teredo', '81.2.69.142'],
    ['NAT64, the well-known prefix', '64:ff9b::5102:458e', 'nat64', '81.2.69.142'],
    ['NAT64 of an operator`s own: nobody can tell', '64:ff9b:1::5102:458e', 'nat64', undefined],
  ])('%s', (_name, text, kind, embedded) => {
    expect(parseAddress(text)).toMatchObject({ ok: true, kind, ...(embedded && { embedded }) });
    expect(parseAddress(text)).not.toMatchObject({ embedded: embedded === undefined ? expect.anything() : null });
  });
});
