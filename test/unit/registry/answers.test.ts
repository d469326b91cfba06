/** What one answer means, by format: ours, in the forms that the registries document. */
import { describe, expect, test } from '@jest/globals';
import { parseAddress, type ValidAddress } from '../../../src/domain/address.ts';
import { readRdap, retryAfterMs } from '../../../src/geo/registry/rdap-answer.ts';
import { readWhois } from '../../../src/geo/registry/whois-answer.ts';

const NOW = Date.parse('2026-11-22T05:00:00Z');
const address = (text: string): ValidAddress => {
  const parsed = parseAddress(text);
  if (!parsed.ok) throw new Error(text);
  return parsed;
};
const whois = (text: string | Buffer, host = 'whois.ripe.net', ip = '193.0.9.9') =>
  readWhois(Buffer.from(text as string), address(ip), host);
const rdap = (json: unknown, ip = '193.0.9.9', status = 200, headers = {}) =>
  readRdap(
    { status, headers, body: Buffer.from(typeof json === 'string' ? json : JSON.stringify(json)) },
    address(ip),
    NOW,
  );
const NET = { objectClassName: 'ip network', startAddress: '193.0.9.0', endAddress: '193.0.9.255' };
const INETNUM = 'inetnum: 193.0.9.0 - 193.0.9.255\n';

describe('whois: the country', () => {
  test.each([
    ['any case', `${INETNUM}COUNTRY: nl\n`, 'NL'],
    ['UK is GB', `${INETNUM}country: UK\n`, 'GB'],
    ['a comment', `${INETNUM}country: NL # BE\n`, 'NL'],
    ['none', `${INETNUM}netname: X\n`, null],
    ['Europe is none', `${INETNUM}country: EU\n`, null],
    ['the same twice', `${INETNUM}country: NL\ncountry: nl\n`, 'NL'],
    ['two different ones', `${INETNUM}country: NL\ncountry: BE\n`, null],
    ['a continued remark', `${INETNUM}remarks: here\n country: RU\n+country: RU\ncountry: FI\n`, 'FI'],
    ['another object after a blank line', `${INETNUM}\nperson: X\ncountry: RU\n`, null],
    ['another object without one', `${INETNUM}nic-hdl: X\ncountry: RU\n`, null],
    ['the smallest range', `inetnum: 193.0.0.0 - 193.0.255.255\ncountry: DE\n\n${INETNUM}country: NL\n`, 'NL'],
    ['a carriage return alone', `${INETNUM.trim()}\rcountry: NL\r`, 'NL'],
  ])('%s', (_, text, country) => {
    expect(whois(text)).toMatchObject({ status: 'ok', country });
  });

  test('several are named in the note, none of them is chosen', () => {
    expect(whois(`${INETNUM}country: NL\ncountry: BE\n`)).toMatchObject({ country: null, note: 'several:NL|BE' });
  });

  test('ISO-8859-1 neither throws nor loses the country', () => {
    const bytes = Buffer.from('inetnum: 200.150.94/24\nowner: Telecomunica\xe7\xf5es\ncountry: BR\n', 'latin1');
    expect(whois(bytes, 'whois.lacnic.net', '200.150.94.98')).toMatchObject({ status: 'ok', country: 'BR' });
  });

  test('IPv6, and ARIN with a customer below the organisation', () => {
    expect(whois('inet6num: 2001:DB9::/32\ncountry: SE\n', 'whois.ripe.net', '2001:db9::1')).toMatchObject({
      country: 'SE',
    });
    const text = [
      '# terms',
      'NetRange: 8.0.0.0 - 8.127.255.255',
      'NetType: Direct Allocation',
      '',
      'OrgName: Big',
      'Country: US',
      '',
      'NetRange: 8.8.8.0 - 8.8.8.255',
      'NetType: Reassigned',
      'Comment: Country: RU',
      'Comment: Geofeed https://geo.example.net/feed.csv',
      '',
      'CustName: Small',
      'Country: CA',
      'RegDate:',
    ].join('\n');
    expect(whois(text, 'whois.arin.net', '8.8.8.8')).toMatchObject({
      status: 'ok',
      country: 'CA',
      geofeed: 'https://geo.example.net/feed.csv',
    });
  });
});

describe('whois: no answer', () => {
  test.each([
    ['IANA placeholder', 'inetnum: 0.0.0.0 - 255.255.255.255\nnetname: IANA-BLK\ncountry: EU\n', 'not-authoritative'],
    ['ERX', 'inetnum: 193.0.0.0/8\nnetname: ERX-NETBLOCK\ncountry: AU\n', 'not-authoritative'],
    ['a transferred stub', `${INETNUM}netname: STUB-193-0-9SLASH24\ncountry: ZZ\n`, 'not-authoritative'],
    ['its words alone', `${INETNUM}descr: Early registration addresses\ncountry: AU\n`, 'not-authoritative'],
    ['another range', 'inetnum: 194.0.0.0 - 194.0.0.255\ncountry: BR\n', 'bad-answer'],
    ['nothing at all', '', 'bad-answer'],
    ['garbage', '\u0000\u0001\u0002 <html>', 'bad-answer'],
    ['an impossible range', 'inetnum: 193.0.9.0 - 193.0.9.999\ncountry: BR\n', 'bad-answer'],
    ['no entry (RIPE)', '%ERROR:101: no entries found\n', 'none'],
    ['no entry (LACNIC)', '% No match for 193.0.9.9\n', 'none'],
    ['no entry (ARIN)', '# terms\nNo match found for n + 193.0.9.9.\n', 'none'],
    ['LACNIC limit', '% Query rate limit exceeded. Reduced information.\n', 'rate-limited'],
    ['nic.br', '% Permission denied.\n', 'rate-limited'],
    ['a server error', '%ERROR:115: invalid search key\n', 'error'],
  ])('%s', (_, text, status) => {
    expect(whois(text).status).toBe(status);
  });

  test('a holder cannot write the server’s own lines', () => {
    expect(whois(`${INETNUM}remarks: %ERROR:201: access denied\ncountry: FI\n`)).toMatchObject({ country: 'FI' });
  });

  test.each([
    ['%ERROR:201: access denied for 192.0.2.1\n% temporarily', true, true],
    ['%ERROR:201: access denied for 192.0.2.1\n% permanently denied', false, true],
    ['%ERROR:306: connections exceeded', true, false],
  ])('%j', (text, retry, openCircuit) => {
    expect(whois(text)).toMatchObject({ status: 'rate-limited', retry, openCircuit });
  });

  test.each([
    ['whois://whois.apnic.net', { status: 'referral', host: 'whois.apnic.net' }],
    ['whois://whois.apnic.net:43', { status: 'referral', host: 'whois.apnic.net' }],
    ['whois://whois.apnic.net:4321', { status: 'blocked-referral' }],
    ['rwhois://rwhois.example.net:4321', { status: 'blocked-referral' }],
    ['whois://10.0.0.1', { status: 'blocked-referral' }],
    ['whois://whois.apnic.net.evil.example', { status: 'blocked-referral' }],
    ['http://whois.apnic.net/', { status: 'blocked-referral' }],
  ])('referral to %s', (link, reply) => {
    const text = `NetRange: 1.0.0.0 - 1.255.255.255\nNetType: Allocated to APNIC\nCountry: AU\nReferralServer: ${link}\n`;
    expect(whois(text, 'whois.arin.net', '1.1.1.1')).toEqual(reply);
  });

  test('a server of the holder`s own, for what it hands on, takes nothing from the network', () => {
    const text = (link: string) =>
      `NetRange: 1.0.0.0 - 1.255.255.255\nNetType: Direct Allocation\nReferralServer: ${link}\n\nOrgName: X\nCountry: US\n`;
    const reply = (link: string) => whois(text(link), 'whois.arin.net', '1.1.1.1');
    expect(reply('rwhois://rwhois.example.net:4321')).toMatchObject({ status: 'ok', country: 'US' });
    expect(reply('whois://whois.example.net')).toEqual({ status: 'blocked-referral' });
    const iana = 'inetnum: 1.0.0.0 - 1.255.255.255\nrefer: rwhois://rwhois.example.net\nsource: IANA\n';
    expect(whois(iana, 'whois.iana.org', '1.1.1.1')).toEqual({ status: 'blocked-referral' });
  });

  test('IANA’s answer, which a blank line cuts up, says whom to ask', () => {
    const text = 'refer: whois.ripe.net\n\ninetnum: 193.0.0.0 - 193.255.255.255\nstatus: ALLOCATED\n\n';
    const [ripe, evil] = ['whois.ripe.net', 'evil.example'].map((host) => `${text}whois: ${host}\n\nsource: IANA\n`);
    expect(whois(ripe ?? '', 'whois.iana.org')).toEqual({ status: 'referral', host: 'whois.ripe.net' });
    expect(whois(evil ?? '', 'whois.iana.org')).toEqual({ status: 'blocked-referral' });
    expect(whois(`${text}source: IANA\n`, 'whois.iana.org')).toEqual({ status: 'not-authoritative' });
    expect(whois(`${ripe}\n${INETNUM}country: NL\nsource: RIPE\n`)).toMatchObject({ status: 'ok', country: 'NL' });
  });

  test('"Transferred to" without a referral gives no country of the registry’s office', () => {
    const text = 'NetRange: 148.0.0.0 - 148.255.255.255\nNetType: Transferred to LACNIC\n\nOrgName: X\nCountry: UY\n';
    expect(whois(text, 'whois.arin.net', '148.228.31.19')).toEqual({ status: 'not-authoritative' });
    const linked = text.replace('\n\n', '\nResourceLink: whois.lacnic.net\n\n');
    expect(whois(linked, 'whois.arin.net', '148.228.31.19')).toEqual({ status: 'referral', host: 'whois.lacnic.net' });
  });
});

describe('whois: the geofeed', () => {
  test.each([
    ['geofeed: https://g.example.net/a.csv', 'https://g.example.net/a.csv'],
    ['remarks: Geofeed https://g.example.net/a.csv#x', 'https://g.example.net/a.csv#x'],
    ['remarks: see Geofeed https://g.example.net/a.csv', null],
    ['geofeed: http://g.example.net/a.csv', null],
    ['geofeed: https://g.example.net:8443/a.csv', null],
    ['geofeed: https://user@g.example.net/a.csv', null],
    ['geofeed: https://localhost/a.csv', null],
    ['geofeed: file:///etc/passwd', null],
  ])('%s', (line, geofeed) => {
    expect(whois(`${INETNUM}${line}\n`)).toMatchObject({ status: 'ok', geofeed });
  });
});

describe('RDAP', () => {
  test.each([
    [{ ...NET, country: 'nl' }, 'NL'],
    [{ ...NET, country: 'EU' }, null],
    [{ ...NET, country: 7 }, null],
    [{ ...NET, startAddress: '193.000.009.000', endAddress: '193.000.009.255', country: 'NL' }, 'NL'],
    [{ ...NET, startAddress: '193.0.9.0/32', endAddress: '193.0.9.255/32', country: 'NL' }, 'NL'],
  ])('%j', (json, country) => {
    expect(rdap(json)).toMatchObject({ status: 'ok', country });
  });

  test.each([
    ['1 Road\nTown\n12345\nUnited States', 'US'],
    ['1 Road\\nTown\\nCANADA', 'CA'],
    ['Seoul\nKorea, Republic of', 'KR'],
    ["Abidjan\nCôte d'Ivoire\n", 'CI'],
    ['Town\nNowhere Land', null],
    ['United States\nTown', null],
  ])('ARIN: the registrant of %j', (label, country) => {
    const adr = ['adr', { label }, 'text', ['', '', '', '', '', '', '']];
    const of = (roles: string[]) => ({
      roles,
      handle: 'X',
      vcardArray: ['vcard', [['version', {}, 'text', '4.0'], adr]],
    });
    expect(rdap({ ...NET, entities: [of(['registrant'])] })).toMatchObject({ status: 'ok', country });
    expect(rdap({ ...NET, entities: [of(['technical'])] })).toMatchObject({ status: 'ok', country: null });
  });

  test('a registrant that is another registry is no holder', () => {
    expect(rdap({ ...NET, entities: [{ roles: ['registrant'], handle: 'APNIC' }] }).status).toBe('not-authoritative');
    expect(rdap({ ...NET, name: 'NON-RIPE-NCC-MANAGED-ADDRESS-BLOCK', country: 'EU' }).status).toBe(
      'not-authoritative',
    );
  });

  test.each([
    ['no JSON', '<html>'],
    ['a list', '[]'],
    ['no range', '{}'],
    ['too deep', `{"a":${'['.repeat(100)}${']'.repeat(100)}}`],
    ['another family', JSON.stringify({ ...NET, startAddress: '::', endAddress: 'ffff::' })],
    ['a range turned round', JSON.stringify({ ...NET, startAddress: '193.0.9.255', endAddress: '193.0.9.0' })],
    ['octal to some', JSON.stringify({ ...NET, startAddress: '0301.0.9.0' })],
  ])('bad: %s', (_, text) => {
    expect(rdap(text).status).toBe('bad-answer');
  });

  test('invalid UTF-8 is a bad answer', () => {
    const body = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    expect(readRdap({ status: 200, headers: {}, body }, address('193.0.9.9'), NOW)).toEqual({
      status: 'bad-answer',
      reason: 'not_utf8',
    });
  });

  test('a limit that is told in a notice of an answer with status 200', () => {
    const notices = [{ title: 'Rate Limit Notice', description: ['You have reached the limit.'] }];
    expect(rdap({ rdapConformance: ['rdap_level_0'], notices }).status).toBe('rate-limited');
    expect(rdap({ errorCode: 429, title: 'Rate limit' }).status).toBe('rate-limited');
    expect(rdap({ errorCode: 404, title: 'Not found' }).status).toBe('none');
    const terms = [{ title: 'Terms', description: ['Use is subject to terms.'] }];
    expect(rdap({ ...NET, country: 'NL', notices: terms }).status).toBe('ok');
  });

  test.each([
    ['Terms of Use', 'If you send too many queries your access may be blocked.', 'ok'],
    ['Notice', 'Queries are subject to rate limiting.', 'ok'],
    ['Rate limiting policy', 'Who exceeds the query limit is denied.', 'ok'],
    ['Rate Limit Notice', 'Reduced information.', 'rate-limited'],
    ['Rate limit', '', 'rate-limited'],
    ['Notice', 'The query limit has been reached.', 'rate-limited'],
    ['Notice', 'Rate limit exceeded: reduced information.', 'rate-limited'],
  ])('an answer with a network and the notice %j: %j', (title, text, status) => {
    expect(rdap({ ...NET, country: 'NL', notices: [{ title, description: [text] }] }).status).toBe(status);
  });

  test.each([
    [404, 'none'],
    [400, 'error'],
    [403, 'rate-limited'],
    [500, 'error'],
    [503, 'error'],
  ])('HTTP %i', (status, expected) => {
    expect(rdap({ ...NET, country: 'NL' }, '193.0.9.9', status).status).toBe(expected);
  });

  test.each([
    ['0', 1000],
    ['30', 30_000],
    ['999999', 3_600_000],
    ['Sun, 22 Nov 2026 05:01:00 GMT', 60_000],
    ['Sun, 22 Nov 2020 05:01:00 GMT', 1000],
    ['Sun, 22 Nov 2099 05:01:00 GMT', 3_600_000],
    ['Sunday, 22-Nov-26 05:00:20 GMT', 20_000],
    ['soon', null],
    ['-5', null],
    ['5.5', null],
    ['', null],
    [undefined, null],
  ])('Retry-After %j', (value, ms) => {
    expect(retryAfterMs(value, NOW)).toBe(ms);
  });

  test('the geofeed: a link, a remark', () => {
    const href = 'https://geo.example.net/feed.csv';
    expect(
      rdap({
        ...NET,
        links: [
          { rel: 'self', href: 'https://x.example/' },
          { rel: 'geo', href },
        ],
      }),
    ).toMatchObject({
      geofeed: href,
    });
    for (const rel of ['Geo', 'geo self', 'alternate  GEOFEED'])
      expect(rdap({ ...NET, links: [{ rel, href }] })).toMatchObject({ geofeed: href });
    expect(rdap({ ...NET, links: [{ rel: 'geography', href }] })).toMatchObject({ geofeed: null });
    expect(rdap({ ...NET, remarks: [{ description: [`Geofeed ${href}`] }] })).toMatchObject({ geofeed: href });
    expect(rdap({ ...NET, links: [{ rel: 'geo', href: 'http://geo.example.net/' }] })).toMatchObject({ geofeed: null });
  });
});
