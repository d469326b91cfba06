import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type Cidr,
  inAnyCidr,
  inCidr,
  networkOf,
  parseAddress,
  parseCidr,
  type ValidAddress,
} from '../../src/domain/address.ts';
import { SPECIAL_RANGES } from '../../src/domain/special-ranges.ts';
import type { AddressFamily, AddressKind } from '../../src/domain/types.ts';

interface ParseCase extends Partial<ValidAddress> {
  input: unknown;
  note?: string;
  country?: null;
}

const cases: ParseCase[] = JSON.parse(readFileSync(new URL('../fixtures/parse-cases.json', import.meta.url), 'utf8'));

function valid(text: string): ValidAddress {
  const parsed = parseAddress(text);
  if (!parsed.ok) throw new Error(`not an address: ${text}`);
  return parsed;
}

function cidr(text: string) {
  const parsed = parseCidr(text);
  if (parsed === null) throw new Error(`not a block: ${text}`);
  return parsed;
}

/** Plain way to write the 16-bit groups of an address. */
function spell(words: readonly number[], family: AddressFamily): string {
  if (family === 4) return words.map((word) => `${word >> 8}.${word & 255}`).join('.');
  return words.map((word) => word.toString(16)).join(':');
}

/** The highest address of a block. */
const lastOf = ({ words, prefix }: Cidr): number[] =>
  words.map((word, index) => word | (0xffff >> Math.min(16, Math.max(0, prefix - index * 16))));

/** The slow way: the longest row that holds the address. */
function kindByTable(address: ValidAddress): AddressKind {
  const rows = SPECIAL_RANGES.filter(([text]) => inCidr(address, cidr(text)));
  rows.sort(([a], [b]) => cidr(b).prefix - cidr(a).prefix);
  return rows[0]?.[1] ?? (address.family === 4 || inCidr(address, cidr('2000::/3')) ? 'global' : 'unallocated');
}

describe('parseAddress', () => {
  test.each(cases.map((one, index) => [`${index} ${JSON.stringify(one.input)}`, one] as const))(
    'case %s',
    (_name, { input, note: _note, country: _country, ...expected }) => {
      const code = expected.ok ? {} : { code: 'invalid_address' };
      expect(parseAddress(input)).toStrictEqual({ ...expected, ...code });
    },
  );

  const classes: readonly (readonly [input: string, kind: AddressKind])[] = [
    ['0.0.0.0', 'reserved'],
    ['0.255.255.255', 'reserved'],
    ['1.0.0.0', 'global'],
    ['9.255.255.255', 'global'],
    ['10.255.255.255', 'private'],
    ['11.0.0.0', 'global'],
    ['100.63.255.255', 'global'],
    ['100.64.0.0', 'cgnat'],
    ['100.127.255.255', 'cgnat'],
    ['100.128.0.0', 'global'],
    ['126.255.255.255', 'global'],
    ['127.255.255.255', 'loopback'],
    ['169.253.255.255', 'global'],
    ['169.254.169.254', 'link-local'],
    ['172.15.255.255', 'global'],
    ['172.32.0.0', 'global'],
    ['191.255.255.255', 'global'],
    ['192.0.0.8', 'reserved'],
    ['192.0.1.0', 'global'],
    ['192.0.3.0', 'global'],
    ['192.88.98.255', 'global'],
    ['192.88.99.255', 'reserved'],
    ['192.167.255.255', 'global'],
    ['192.169.0.0', 'global'],
    ['198.17.255.255', 'global'],
    ['198.19.255.255', 'benchmarking'],
    ['198.20.0.0', 'global'],
    ['198.51.100.255', 'documentation'],
    ['203.0.112.255', 'global'],
    ['203.0.114.0', 'global'],
    ['223.255.255.255', 'global'],
    ['239.255.255.255', 'multicast'],
    ['240.0.0.1', 'reserved'],
    ['::2', 'reserved'],
    ['::8.8.8.8', 'reserved'],
    ['::ffff:0:8.8.8.8', 'reserved'],
    ['0:0:0:0:1::', 'unallocated'],
    ['64:ff9b:0:1::1', 'unallocated'],
    ['64:ff9b:1:2::1', 'nat64'],
    ['100::ffff:ffff:ffff:ffff', 'reserved'],
    ['100:0:0:1::', 'reserved'],
    ['100:0:0:2::', 'unallocated'],
    ['1fff:ffff::', 'unallocated'],
    ['2000::', 'global'],
    ['2001:0:ffff::', 'teredo'],
    ['2001:1::1', 'reserved'],
    ['2001:2::1', 'benchmarking'],
    ['2001:2:1::', 'reserved'],
    ['2001:10::1', 'reserved'],
    ['2001:2f:ffff::', 'reserved'],
    ['2001:1ff:ffff::', 'reserved'],
    ['2001:200::1', 'global'],
    ['2001:db7:ffff::', 'global'],
    ['2001:db8:ffff:ffff::', 'documentation'],
    ['2001:db9::', 'global'],
    ['2002:ffff::', '6to4'],
    ['2003::1', 'global'],
    ['2620:4f:8000::1', 'reserved'],
    ['2a02:c7c::1', 'global'],
    ['3ffe:ffff::', 'global'],
    ['3fff:fff:ffff::', 'documentation'],
    ['3fff:1000::', 'global'],
    ['4000::', 'unallocated'],
    ['5f01::', 'unallocated'],
    ['fbff::', 'unallocated'],
    ['fc00::', 'private'],
    ['fdff:ffff::', 'private'],
    ['fe00::', 'unallocated'],
    ['febf::1', 'link-local'],
    ['fec0::1', 'reserved'],
    ['feff::1', 'reserved'],
    ['ff00::', 'multicast'],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'multicast'],
    ['::ffff:100.64.0.1', 'cgnat'],
    ['::ffff:ffff:ffff', 'reserved'],
  ];
  test.each(classes)('%s is %s', (input, kind) => {
    expect(parseAddress(input)).toMatchObject({ ok: true, kind });
  });

  test.each(SPECIAL_RANGES)('the row %s is canonical, and found in the index by its edges', (text) => {
    const block = cidr(text);
    expect(block.text).toBe(text);
    for (const edge of [block.words, lastOf(block)]) {
      const address = valid(spell(edge, block.family));
      if (address.family === block.family) expect(address.kind).toBe(kindByTable(address));
    }
  });

  test.each([
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['1:0:0:4:0:0:0:8', '1:0:0:4::8'],
    ['1:0:0:4:5:0:0:8', '1::4:5:0:0:8'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['1::1.2.3.4', '1::102:304'],
    ['2001:0DB8:0000:0000:00aB::', '2001:db8:0:0:ab::'],
    ['fe80::1%eth0.5:1', 'fe80::1'],
  ])('%s is written %s', (input, ip) => {
    expect(valid(input).ip).toBe(ip);
  });

  test.each([
    ['2002:c000:0204::', '192.0.2.4'],
    // RFC 4380 section 4: the client's address is stored inverted.
    ['2001:0:4136:e378:8000:63bf:3fff:fdd2', '192.0.2.45'],
    ['64:ff9b::8.8.8.8', '8.8.8.8'],
  ])('%s carries %s', (input, embedded) => {
    expect(valid(input).embedded).toBe(embedded);
  });

  test('keeps the zone of a mapped address too', () => {
    expect(parseAddress('::ffff:8.8.8.8%eth0')).toStrictEqual({
      ok: true,
      ip: '8.8.8.8',
      family: 4,
      kind: 'global',
      via: 'v4-mapped',
      zone: 'eth0',
    });
  });

  test.each([
    ...['', ' ', '.', ':', '::%', '%eth0', '1.2.3.4%eth0', 'fe80::1%', 'fe80::1%a b', 'fe80::1%a/b', 'fe80::1%ä'],
    ...['0x8.8.8.8', '8.8.8.0x8', '134744072', '00.0.0.0', '1.2.3.4.5', '.1.2.3.4', '1..2.3', '1.2.3.', '1.2.3.1000'],
    ...[' 8.8.8.8', '8.8.8.8 ', '\t8.8.8.8', '8.8.8.8\0', '8.8.8.8:80', '８.8.8.8', '[::1]', '::1/128', '::1 '],
    ...['1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8::', '::1:2:3:4:5:6:7:8', '1::2:3:4:5:6:7:8', '1::2::3'],
    ...[
      '1:',
      ':1',
      '1:2:',
      '::1:',
      ':::',
      '1:::2',
      'g::',
      '::g',
      '00000::',
      '::00001',
      '::-1',
      '::ffff:1.2.3',
      '1.2.3.4::',
    ],
    ...['::ffff:01.2.3.4', '::ffff:1.2.3.4:5', '::1.2.3.4.5', '1:2:3:4:5:6:7:1.2.3.4', '1:2:3:4:5:1.2.3.4', ':1.2.3.4'],
    ...['::1.2.3.4::', `fe80::1%${'a'.repeat(57)}`, '8'.repeat(100_000), ':'.repeat(100_000)],
  ])('refuses %j', (input) => {
    expect(parseAddress(input)).toStrictEqual({ ok: false, code: 'invalid_address', reason: 'not a plain IP address' });
  });

  test.each([null, undefined, true, 8n, Symbol('8'), ['8.8.8.8'], new String('8.8.8.8'), () => '8.8.8.8'])(
    'refuses what is not a string (%#)',
    (input) => {
      expect(parseAddress(input)).toStrictEqual({ ok: false, code: 'invalid_address', reason: 'not a string' });
    },
  );
});

/** Text that is nearly an address, more often than random text is. */
const nearly = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.string({ unit: fc.constantFrom(...'0123456789abcF:.%'), maxLength: 48 }),
  fc
    .array(fc.constantFrom('0', '1', 'ffff', ':', '::', '.', '255', '256', '1.2.3.4', '%e'), { maxLength: 17 })
    .map((p) => p.join('')),
  fc
    .tuple(fc.ipV6(), fc.nat(45), fc.constantFrom('', ':', '.', '0', 'f', '::'))
    .map(([ip, at, put]) => ip.slice(0, at) + put + ip.slice(at + 1)),
);

describe('parseAddress, for any input', () => {
  test('never throws', () => {
    fc.assert(fc.property(fc.anything(), (input) => typeof parseAddress(input).ok === 'boolean'));
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (input) => typeof parseAddress(input).ok === 'boolean'));
  });

  test('accepts exactly what net.isIP accepts, up to 64 characters', () => {
    fc.assert(
      fc.property(nearly, (text) => {
        expect(parseAddress(text).ok).toBe(text.length <= 64 && isIP(text) !== 0);
      }),
      { numRuns: 5000 },
    );
  });

  test('the canonical form is a fixed point', () => {
    fc.assert(
      fc.property(nearly, (text) => {
        const parsed = parseAddress(text);
        if (!parsed.ok) return;
        const { via: _via, zone: _zone, ...rest } = parsed;
        expect(parseAddress(parsed.ip)).toStrictEqual(rest);
      }),
      { numRuns: 2000 },
    );
  });

  test('the class is that of the longest row of the table', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        expect(valid(text).kind).toBe(kindByTable(valid(text)));
      }),
      { numRuns: 500 },
    );
  });

  test('spells IPv6 as the URL standard does', () => {
    const sparse = fc
      .array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
      .map((groups) => groups.map((group) => group.toString(16).toUpperCase()).join(':'));
    fc.assert(
      fc.property(fc.oneof(sparse, fc.ipV6()), (text) => {
        const parsed = valid(text);
        if (parsed.family === 6) expect(`[${parsed.ip}]`).toBe(new URL(`http://[${text}]/`).hostname);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('networkOf', () => {
  test.each<[string, AddressFamily, string]>([
    ['81.2.69.142', 4, '81.2.69.0/24'],
    ['8.8.8.8', 4, '8.8.8.0/24'],
    ['2001:db8:1:2:3::4', 6, '2001:db8:1::/48'],
    ['2001:db8:0:ffff::', 6, '2001:db8::/48'],
    ['2001:db8::', 6, '2001:db8::/48'],
    ['::1', 6, '::/48'],
    ['1:0:3:4:5:6:7:8', 6, '1:0:3::/48'],
  ])('%s (IPv%i) is in %s', (ip, family, network) => {
    expect(networkOf(ip, family)).toBe(network);
    expect(inCidr(valid(ip), cidr(network))).toBe(true);
    expect(cidr(network).text).toBe(network);
  });
});

describe('parseCidr', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0/8', 4],
    ['10.1.2.3/8', '10.0.0.0/8', 4],
    ['10.1.2.3', '10.1.2.3/32', 4],
    ['0.0.0.0/0', '0.0.0.0/0', 4],
    ['2001:DB8:0::/32', '2001:db8::/32', 6],
    ['2001:db8::1', '2001:db8::1/128', 6],
    ['2001:db8:ffff::/33', '2001:db8:8000::/33', 6],
    ['::/0', '::/0', 6],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8', 4],
    ['::ffff:10.0.0.1', '10.0.0.1/32', 4],
    ['::ffff:0:0/96', '0.0.0.0/0', 4],
    ['::ffff:0:0/95', '::fffe:0:0/95', 6],
  ])('%s is %s', (text, canonical, family) => {
    expect(parseCidr(text)).toMatchObject({ text: canonical, family });
  });

  test.each([
    ...['', '/', '/8', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/08', '10.0.0.0/8 ', '10.0.0.0/8/8', '10/8'],
    ...['10.0.0.0/1e1', '10.0.0.0/0x8', '::/129', '::/1000', 'fe80::%eth0/64', 'fe80::1%eth0', '[::]/0', '10.0.0.0/a:'],
    ...['010.0.0.0/8', 'localhost', null, undefined, 8],
  ])('refuses %j', (text) => {
    expect(parseCidr(text)).toBeNull();
  });
});

describe('inCidr', () => {
  test.each([
    ['10.0.0.2', '10.0.0.0/8', true],
    ['::ffff:10.0.0.2', '10.0.0.0/8', true],
    ['10.0.0.2', '::ffff:a00:0/104', true],
    ['11.0.0.2', '10.0.0.0/8', false],
    ['172.31.255.255', '172.16.0.0/12', true],
    ['172.32.0.0', '172.16.0.0/12', false],
    ['2001:db8::1', '2001:0db8:0:0::/64', true],
    ['2001:db8:0:1::1', '2001:db8::/64', false],
    ['2001:db8::1', '2001:db8::1', true],
    ['2001:db8::2', '2001:db8::1', false],
    ['8.8.8.8', '::/0', false],
    ['::8.8.8.8', '0.0.0.0/0', false],
  ])('%s in %s: %s', (ip, block, expected) => {
    expect(inCidr(valid(ip), cidr(block))).toBe(expected);
    expect(inAnyCidr(valid(ip), [cidr('192.0.2.0/24'), cidr(block)])).toBe(expected);
  });

  test('agrees with net.BlockList', () => {
    const block = fc.oneof(
      fc.tuple(fc.ipV4(), fc.nat(32), fc.constant('ipv4' as const)),
      fc.tuple(fc.ipV6(), fc.nat(128), fc.constant('ipv6' as const)),
    );
    fc.assert(
      fc.property(block, fc.nat(128), fc.boolean(), ([base, prefix, type], flip, near) => {
        const parsed = valid(base);
        fc.pre(parsed.via === undefined);
        const list = new BlockList();
        list.addSubnet(parsed.ip, prefix, type);
        const ip = near ? flipBit(parsed, flip) : parsed.ip;
        expect(inCidr(valid(ip), cidr(`${base}/${prefix}`))).toBe(list.check(ip, type));
      }),
      { numRuns: 2000 },
    );
  });
});

/** The neighbour of an address that differs in one bit. */
function flipBit({ ip, family }: ValidAddress, bit: number): string {
  const { words } = cidr(ip);
  const at = (bit >> 4) % words.length;
  const text = spell(words.with(at, (words[at] ?? 0) ^ (1 << (bit & 15))), family);
  return valid(text).family === family ? text : ip;
}
