import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseAddress } from '../../src/domain/address.ts';
import { clientAddress, compileTrust, type ForwardedRequest } from '../../src/domain/forwarded.ts';
import { BouncerError } from '../../src/errors.ts';

interface ForwardedCase extends ForwardedRequest {
  trust: string[];
  expect: string | null;
  note: string;
}

const cases: ForwardedCase[] = JSON.parse(
  readFileSync(new URL('../fixtures/forwarded-cases.json', import.meta.url), 'utf8'),
);

const PROXY = '10.0.0.2';
const trust = compileTrust(['10.0.0.0/8', '2001:db8:ffff::/48']);
const behindProxy = (header: string | string[]) =>
  clientAddress({ peer: PROXY, headers: { 'x-forwarded-for': header } }, trust);
const MALFORMED = { address: null, problem: 'malformed_forwarding' };

describe('clientAddress', () => {
  test.each(cases)('$note', ({ peer, headers, trust: list, expect: address }) => {
    expect(clientAddress({ peer, headers }, compileTrust(list)).address).toBe(address);
  });

  test.each<[string, string | string[], string]>([
    ['a trusted hop is stripped', '81.2.69.142, 10.9.9.9', '81.2.69.142'],
    ['what stands left of the client is not read', 'garbage, 81.2.69.142, 10.9.9.9', '81.2.69.142'],
    ['a forged entry is not believed', '10.0.0.1, 8.8.8.8, 81.2.69.142', '81.2.69.142'],
    ['all trusted: the leftmost', '10.0.0.7, 10.0.0.8', '10.0.0.7'],
    ['a port on IPv4', '81.2.69.142:5678', '81.2.69.142'],
    ['a port on IPv6', '[2001:db8::1]:443', '2001:db8::1'],
    ['brackets alone', '[2001:db8::1]', '2001:db8::1'],
    ['bare IPv6', '2001:DB8:0::1', '2001:db8::1'],
    ['an IPv6 proxy', '81.2.69.142, 2001:db8:ffff::9', '81.2.69.142'],
    ['a mapped entry', '::ffff:81.2.69.142', '81.2.69.142'],
    ['a mapped entry in brackets', '[::ffff:81.2.69.142]:80', '81.2.69.142'],
    ['spaces and tabs', ' 8.8.8.8 ,\t81.2.69.142\t', '81.2.69.142'],
    ['several lines, more than one hop', ['8.8.8.8, 81.2.69.142', '10.1.1.1'], '81.2.69.142'],
    ['a blank header is none', '', PROXY],
    ['white space is none', ' \t ', PROXY],
    ['blank lines are none', ['', ' '], PROXY],
    ['a private client is named as such', '192.168.1.9', '192.168.1.9'],
  ])('%s', (_name, header, address) => {
    expect(behindProxy(header)).toEqual({ address });
  });

  test.each<[string, string | string[]]>([
    ['unknown', 'unknown'],
    ['an obfuscated name (RFC 7239)', '8.8.8.8, _hidden'],
    ['an empty entry at the end', '8.8.8.8,'],
    ['an empty last line', ['8.8.8.8', '']],
    ['an empty entry between trusted hops', '8.8.8.8,,10.0.0.9'],
    ['a comma alone', ','],
    ['garbage behind a trusted hop', '8.8.8.8, nope, 10.0.0.9'],
    ['a short address', '8.8.8'],
    ['octal', '010.8.8.8'],
    ['a prefix', '8.8.8.0/24'],
    ['a quoted entry', '"8.8.8.8"'],
    ['a for= pair', 'for=8.8.8.8'],
    ['an empty port', '8.8.8.8:'],
    ['a port beyond 65535', '8.8.8.8:65536'],
    ['a port that is a word', '8.8.8.8:http'],
    ['a port alone', ':80'],
    ['IPv4 in brackets', '[8.8.8.8]'],
    ['an open bracket', '[2001:db8::1'],
    ['text behind the bracket', '[2001:db8::1]x'],
    ['empty brackets', '[]:80'],
    ['other white space', '8.8.8.8\u00a0'],
    ['an entry without end', `8.8.8.8,${' '.repeat(200)}81.2.69.142`],
    ['a header without comma', '1'.repeat(160_000)],
  ])('malformed: %s', (_name, header) => {
    expect(behindProxy(header)).toEqual(MALFORMED);
  });

  test.each<[string, string | undefined, string | null, string | undefined]>([
    ['none', undefined, null, 'no_address'],
    ['empty', '', null, 'no_address'],
    ['no address', 'localhost', null, 'invalid_address'],
    ['IPv6', '2001:db8::1', '2001:db8::1', undefined],
    ['IPv6 with a zone', 'fe80::1%eth0', 'fe80::1', undefined],
    ['mapped', '::ffff:81.2.69.142', '81.2.69.142', undefined],
  ])('without trust the peer counts alone: %s', (_name, peer, address, problem) => {
    const headers = { 'x-forwarded-for': '8.8.8.8' };
    expect(clientAddress({ peer, headers }, compileTrust([]))).toEqual({ address, problem });
  });

  test.each<[string, number, string, string, string | null, string | undefined]>([
    ['one proxy', 1, 'x-forwarded-for', '1.1.1.1, 81.2.69.142', '81.2.69.142', undefined],
    ['two', 2, 'x-forwarded-for', '1.1.1.1, 81.2.69.142, 10.0.0.9', '81.2.69.142', undefined],
    ['Forwarded', 1, 'forwarded', 'for=1.1.1.1, for=81.2.69.142', '81.2.69.142', undefined],
    ['a header of one address', 1, 'x-real-ip', '81.2.69.142', '81.2.69.142', undefined],
    ['no address in it', 1, 'x-forwarded-for', 'unknown', null, 'malformed_forwarding'],
    ['a blank one', 1, 'x-forwarded-for', ' ', null, 'no_address'],
    ['no element', 1, 'forwarded', ',,', null, 'no_address'],
    ['no proxy', 0, 'x-forwarded-for', '81.2.69.142', null, 'no_address'],
  ])(
    'over a Unix socket the nearest of so many proxies has no address: %s',
    (_name, proxies, header, text, address, problem) => {
      const trust = compileTrust(proxies, header);
      expect(clientAddress({ peer: undefined, headers: { [header]: text } }, trust)).toEqual({ address, problem });
    },
  );

  test('a header is not believed where the peer is unknown, whatever addresses are trusted', () => {
    const all = compileTrust(['0.0.0.0/0', '::/0']);
    expect(clientAddress({ peer: undefined, headers: { 'x-forwarded-for': '8.8.8.8' } }, all).address).toBeNull();
  });

  test('a chain that never leaves the trusted proxies is not followed for ever', () => {
    expect(behindProxy('10.0.0.1,'.repeat(20_000))).toEqual(MALFORMED);
    expect(behindProxy(Array(20_000).fill('10.0.0.1'))).toEqual(MALFORMED);
    expect(behindProxy(Array(64).fill('10.0.0.1'))).toEqual({ address: '10.0.0.1' });
  });

  test('any header: never throws, and gives a canonical address or a problem', () => {
    const part = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom('10.0.0.1', ' ', ',', '', 'unknown', ':80', '[', ']'),
      fc.string(),
    );
    const header = fc.array(part).map((parts) => parts.join(','));
    fc.assert(
      fc.property(fc.oneof(header, fc.array(header)), (value) => {
        const { address, problem } = behindProxy(value);
        expect(problem === undefined).toBe(address !== null);
        if (address !== null) expect(parseAddress(address)).toMatchObject({ ok: true, ip: address });
      }),
    );
  });

  test('any header: what the last proxy saw decides, whatever the client wrote before it', () => {
    fc.assert(
      fc.property(fc.string(), fc.ipV4(), (forged, client) => {
        fc.pre(!client.startsWith('10.'));
        expect(behindProxy(`${forged},${client}`)).toEqual({ address: client });
        expect(behindProxy([forged, client])).toEqual({ address: client });
      }),
    );
  });
});

describe('compileTrust', () => {
  test.each([
    ['loopback', '127.8.8.8', true],
    ['loopback', '::1', true],
    ['loopback', '10.0.0.1', false],
    ['private', '10.0.0.1', true],
    ['private', '172.31.0.1', true],
    ['private', '192.168.0.1', true],
    ['private', 'fd00::1', true],
    ['private', '100.64.0.1', false],
    ['private', '172.32.0.1', false],
    ['203.0.113.7', '203.0.113.7', true],
    ['203.0.113.7', '203.0.113.8', false],
    ['::ffff:203.0.113.0/120', '203.0.113.8', true],
  ])('%s trusts %s: %s', (entry, peer, trusted) => {
    const { address } = clientAddress({ peer, headers: { 'x-forwarded-for': '8.8.8.8' } }, compileTrust([entry]));
    expect(address === '8.8.8.8').toBe(trusted);
  });

  test.each(['', 'Loopback', 'toString', '10.0.0.0/33', '10.0.0', 'proxy.example', '*', ' 10.0.0.1'])(
    'refuses %j',
    (entry) => {
      const compile = () => compileTrust(['10.0.0.0/8', entry]);
      expect(compile).toThrow(BouncerError);
      expect(compile).toThrow(
        expect.objectContaining({ code: 'option_invalid', message: expect.stringContaining('entry 2') }),
      );
    },
  );

  test.each([true, 'loopback', 1.5, undefined])('refuses %j in place of a list', (list) => {
    expect(() => compileTrust(list as unknown as string[])).toThrow(
      expect.objectContaining({ code: 'option_invalid' }),
    );
  });

  test('says when everything is trusted', () => {
    expect(compileTrust(['0.0.0.0/0']).trustsAll).toBe(true);
    expect(compileTrust(['loopback', '::/0']).trustsAll).toBe(true);
    expect(compileTrust(['private', '0.0.0.0/1']).trustsAll).toBe(false);
    expect(compileTrust([]).trustsAll).toBe(false);
  });
});
