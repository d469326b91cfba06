import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { clientAddress, compileTrust } from '../../src/domain/forwarded.ts';
import { BouncerError } from '../../src/errors.ts';

const PROXY = '10.0.0.2';
const MALFORMED = { address: null, problem: 'malformed_forwarding' };
const trust = compileTrust(['10.0.0.0/8', '2001:db8:ffff::/48'], 'Forwarded');
const forwarded = (header: string | string[]) =>
  clientAddress({ peer: PROXY, headers: { forwarded: header, 'x-forwarded-for': '9.9.9.9' } }, trust);

describe('Forwarded (RFC 7239)', () => {
  test.each<[string, string | string[], string]>([
    ['a plain address', 'for=81.2.69.142', '81.2.69.142'],
    ['any case of the name', 'FOR=81.2.69.142;PROTO=http', '81.2.69.142'],
    ['other parameters, in any order', 'proto=https;by=203.0.113.43;for=81.2.69.142;host=example.com', '81.2.69.142'],
    ['quoted', 'for="81.2.69.142"', '81.2.69.142'],
    ['quoted with a port', 'for="81.2.69.142:4711"', '81.2.69.142'],
    ['with a port that should be quoted', 'for=81.2.69.142:4711', '81.2.69.142'],
    ['an obfuscated port', 'for="81.2.69.142:_gazonk"', '81.2.69.142'],
    ['IPv6', 'for="[2001:DB8:cafe::17]"', '2001:db8:cafe::17'],
    ['IPv6 with a port', 'For="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    ['escapes in the quotes', 'for="\\8\\1.2.69.142"', '81.2.69.142'],
    ['a comma and a semicolon in quotes', 'host="a,b;for=9.9.9.9";for=81.2.69.142', '81.2.69.142'],
    ['an escaped quote in quotes', 'host="a\\",b";for=81.2.69.142', '81.2.69.142'],
    ['trusted hops are stripped', 'for=8.8.8.8, for=81.2.69.142, for=10.1.1.1', '81.2.69.142'],
    ['several lines', ['for=8.8.8.8', 'for=81.2.69.142', 'for="[2001:db8:ffff::1]"'], '81.2.69.142'],
    ['white space around elements', ' for=8.8.8.8 ,\tfor=81.2.69.142\t', '81.2.69.142'],
    ['what a client left open does not matter', 'for="8.8.8.8, for=81.2.69.142', '81.2.69.142'],
    ['nor a quote that it ended with', 'for=8.8.8.8", for="81.2.69.142"', '81.2.69.142'],
    ['nor an escape', 'for=8.8.8.8\\, for=81.2.69.142', '81.2.69.142'],
    ['an empty element at the end', 'for=81.2.69.142,', '81.2.69.142'],
    ['empty elements between and before', ' ,for=8.8.8.8,for=81.2.69.142, ,\t,for=10.0.0.9', '81.2.69.142'],
    ['an empty line', ['for=81.2.69.142', ''], '81.2.69.142'],
    ['a blank header is none', ' ', PROXY],
    ['nor is one of empty elements', ', ,', PROXY],
  ])('%s', (_name, header, address) => {
    expect(forwarded(header)).toEqual({ address });
  });

  test.each<[string, string | string[]]>([
    ['unknown', 'for=unknown'],
    ['an obfuscated name', 'for="_SEVKISEK"'],
    ['no for at all', 'proto=https'],
    ['two of them', 'for=81.2.69.142;for=8.8.8.8'],
    ['empty quotes', 'for=""'],
    ['no value', 'for='],
    ['white space around the =', 'for = 81.2.69.142'],
    ['bare IPv6', 'for="2001:db8::1"'],
    ['IPv6 with brackets that do not close', 'for="[2001:db8::1"'],
    ['a quote that does not close', 'for="81.2.69.142'],
    ['text behind the quotes', 'for="81.2.69.142"x'],
    ['an X-Forwarded-For list', '81.2.69.142'],
    ['unknown next to a trusted hop', 'for=81.2.69.142, for=unknown, for=10.0.0.9'],
    ['an element without an end', `for=81.2.69.142;x="${'a'.repeat(5000)}"`],
  ])('%s is malformed', (_name, header) => {
    expect(forwarded(header)).toEqual(MALFORMED);
  });

  test('the peer is not trusted: not read at all', () => {
    expect(clientAddress({ peer: '81.2.69.1', headers: { forwarded: 'for=8.8.8.8' } }, trust).address).toBe(
      '81.2.69.1',
    );
  });

  test('whatever a client wrote before it, the trusted proxy`s word stands', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('"', '\\', ',', ';', '=', ' ', 'for', '8.8.8.8') }), (junk) => {
        expect(forwarded(`${junk}, for="81.2.69.142:80"`)).toEqual({ address: '81.2.69.142' });
      }),
    );
  });
});

describe('a header of one address', () => {
  const single = compileTrust(['10.0.0.0/8'], 'CF-Connecting-IP');
  const from = (value: string | string[], peer = PROXY) =>
    clientAddress({ peer, headers: { 'cf-connecting-ip': value, 'x-forwarded-for': '9.9.9.9' } }, single);

  test('is believed of a trusted peer only', () => {
    expect(from('81.2.69.142')).toEqual({ address: '81.2.69.142' });
    expect(from('2001:db8::1')).toEqual({ address: '2001:db8::1' });
    expect(from('[2001:db8::1]:443')).toEqual({ address: '2001:db8::1' });
    expect(from('81.2.69.142', '8.8.8.8')).toEqual({ address: '8.8.8.8' });
  });

  test.each<[string | string[]]>([
    ['81.2.69.142, 8.8.8.8'],
    [['81.2.69.142', '8.8.8.8']],
    ['unknown'],
    ['for=8.8.8.8'],
  ])('%j is malformed', (value) => {
    expect(from(value)).toEqual(MALFORMED);
  });

  test('missing: the peer, and no other header', () => {
    expect(clientAddress({ peer: PROXY, headers: { 'x-forwarded-for': '9.9.9.9' } }, single)).toEqual({
      address: PROXY,
    });
  });
});

describe('a number of proxies', () => {
  const behind = (hops: number, header: string, name = 'x-forwarded-for') =>
    clientAddress({ peer: '172.67.1.1', headers: { [name]: header } }, compileTrust(hops, name)).address;

  test.each<[number, string, string | null]>([
    [0, '81.2.69.142', '172.67.1.1'],
    [1, '81.2.69.142', '81.2.69.142'],
    [1, '8.8.8.8, 81.2.69.142', '81.2.69.142'],
    [2, '8.8.8.8, 81.2.69.142, 104.16.0.1', '81.2.69.142'],
    [3, '81.2.69.142, 104.16.0.1', '81.2.69.142'],
    [2, 'nope, 104.16.0.1', null],
    [1, 'nope, 104.16.0.1', '104.16.0.1'],
  ])('%d of them, %s', (hops, header, address) => {
    expect(behind(hops, header)).toBe(address);
  });

  test('counts elements of Forwarded alike', () => {
    expect(behind(2, 'for=8.8.8.8, for=81.2.69.142, for=104.16.0.1', 'forwarded')).toBe('81.2.69.142');
  });

  test('a header of one address needs one proxy', () => {
    expect(behind(1, '81.2.69.142', 'cf-connecting-ip')).toBe('81.2.69.142');
    expect(behind(0, '81.2.69.142', 'cf-connecting-ip')).toBe('172.67.1.1');
  });

  test.each([-1, 1.5, 65, Number.NaN])('%d is no number of proxies', (hops) => {
    expect(() => compileTrust(hops)).toThrow(BouncerError);
  });
});

test.each(['', 'x forwarded', 'a:b', 'é', 'x'.repeat(65)])('%j is no header name', (name) => {
  expect(() => compileTrust([], name)).toThrow(expect.objectContaining({ code: 'option_invalid' }));
});
