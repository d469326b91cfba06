/**
 * Lookups whose answers are known: the checks of mmdb-file.ts see that a file is sound, these that it tells the truth. A
 * sound tree over another file's records (two downloads written into one file) puts every network in a wrong country.
 */

import { parseAddress } from '../domain/address.ts';
import { normaliseCountry } from '../domain/country.ts';
import type { AddressFamily, Country } from '../domain/types.ts';
import { BouncerError, errorName } from '../errors.ts';
import type { Source } from './source.ts';

/** Address -> country. */
export type Canaries = Readonly<Record<string, Country>>;

/**
 * Universities and access networks that have been in one country for decades; three independent databases of 2026 agree on
 * each. One or two may move: three quarters must be right.
 */
const KNOWN = new Map(
  (
    '81.2.69.142 GB,131.111.8.1 GB,90.0.15.20 FR,79.192.10.20 DE,62.178.1.1 AT,129.132.1.1 CH,145.97.1.1 NL,81.164.1.1 BE,' +
    '130.237.1.1 SE,129.240.1.1 NO,193.166.3.2 FI,130.225.1.1 DK,193.136.1.1 PT,147.83.1.1 ES,137.204.1.1 IT,147.102.1.1 GR,' +
    '144.122.1.1 TR,89.64.1.1 PL,195.113.1.1 CZ,152.66.1.1 HU,141.85.1.1 RO,95.24.1.1 RU,132.66.1.1 IL,41.32.1.1 EG,' +
    '105.66.1.1 MA,137.158.1.1 ZA,105.112.10.20 NG,117.192.1.1 IN,180.248.1.1 ID,175.136.1.1 MY,110.168.1.1 TH,14.160.1.1 VN,' +
    '166.111.1.1 CN,202.120.2.1 CN,147.8.1.1 HK,140.112.1.1 TW,147.46.1.1 KR,133.11.0.1 JP,114.160.10.20 JP,130.102.1.1 AU,' +
    '130.216.1.1 NZ,18.9.22.69 US,73.1.1.1 US,99.224.1.1 CA,132.248.1.1 MX,190.24.1.1 CO,200.1.123.1 CL,177.102.10.20 BR,' +
    '2001:630::1 GB,2001:660::1 FR,2001:638::1 DE,2003:c0::1 DE,2001:760::1 IT,2001:388::1 AU,2001:12ff::1 BR,2600:1700::1 US'
  )
    .split(',')
    .map((pair) => pair.split(' ') as [string, Country]),
);

/** With fewer answers nothing can be said: a file of one region, or of a test. */
const MIN_ANSWERS = 8;
const MIN_RIGHT = 0.75;

/** `knows_none`: it has no country for any of them. */
export type Verdict = 'right' | 'wrong' | 'cannot_tell' | 'knows_none';

/** What the known addresses say of a source. Throws what a lookup throws. */
export function verdictOn(source: Source): Verdict {
  let answers = 0;
  let right = 0;
  for (const [address, country] of KNOWN) {
    const parsed = parseAddress(address);
    const said = parsed.ok ? source.lookup(parsed.ip, parsed.family).country : null;
    if (said === null) continue;
    answers++;
    if (said === country) right++;
  }
  if (answers < MIN_ANSWERS) return answers === 0 ? 'knows_none' : 'cannot_tell';
  return right >= MIN_RIGHT * answers ? 'right' : 'wrong';
}

/**
 * The operator's own, each of which must be answered as given. `isAsked`: those of which family; some vendors give each family a
 * file of its own.
 * @throws BouncerError `option_invalid` where a canary is no address and country.
 */
export function firstWrong(
  source: Source,
  canaries: Canaries,
  isAsked: (family: AddressFamily) => boolean = () => true,
): string | null {
  for (const [address, country] of Object.entries(canaries)) {
    const parsed = parseAddress(address);
    const expected = normaliseCountry(country).country;
    if (!parsed.ok || expected === undefined) {
      throw new BouncerError('option_invalid', 'canaries: give plain addresses with their two-letter countries');
    }
    if (isAsked(parsed.family) && answerOf(source, parsed.ip, parsed.family) !== expected) return parsed.ip;
  }
  return null;
}

function answerOf(source: Source, ip: string, family: 4 | 6): string | null {
  try {
    return source.lookup(ip, family).country;
  } catch (error) {
    return errorName(error);
  }
}
