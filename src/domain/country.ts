/** Country codes: which text is one, which territories belong together, and how two sets of them compare. */

import type { Country } from './types.ts';

/** ISO 3166-1 alpha-2, the 249 officially assigned codes, and `XK` (Kosovo: user-assigned, used by every database). */
const ASSIGNED =
  'AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ ' +
  'CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR ' +
  'GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP ' +
  'KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT ' +
  'MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW ' +
  'SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ ' +
  'UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XK';

/** Other spellings of a country that databases and registries write (exceptionally reserved; the EU's own for Greece). */
const ALIASES = 'UK:GB EL:GR';

/**
 * What databases answer instead of a country: Europe, Asia-Pacific, unknown (two ways), and the markers of old GeoIP files
 * and of CDNs for Tor, anonymous proxies, satellite providers and "other".
 */
const PSEUDO = 'EU AP ZZ XX T1 A1 A2 O1';

/**
 * ISO 3166-3: withdrawn and not assigned again. They are no answer rather than their successor, for most were split:
 * `AN` may be any of three countries today.
 */
const WITHDRAWN = 'AN BU CS CT DD DY FQ FX HV JT MI NH NQ NT PC PU PZ RH SU TP VD WK YD YU ZR';

/**
 * Sovereign and its territories that have a code of their own, as ISO 3166-1 lists them: people travel between them, and
 * databases give the one for the other. Hong Kong, Macao and Taiwan compare as their own. The Cook Islands and Niue stand
 * with New Zealand: they govern themselves, but their people are its citizens and their networks are often run from it.
 * docs/countries.md lists the same.
 */
export const TERRITORIES: Readonly<Record<Country, string>> = {
  AU: 'CC CX HM NF',
  DK: 'FO GL',
  FI: 'AX',
  FR: 'BL GF GP MF MQ NC PF PM RE TF WF YT',
  GB: 'AI BM FK GG GI GS IM IO JE KY MS PN SH TC VG',
  NL: 'AW BQ CW SX',
  NO: 'BV SJ',
  NZ: 'CK NU TK',
  US: 'AS GU MP PR UM VI',
};

/** A country, or a fixed note that says why there is none: `unknown_code`, `pseudo:EU`, `withdrawn:AN`. */
export type CountryAnswer =
  | { readonly country: Country; readonly note?: undefined }
  | { readonly country?: undefined; readonly note: string };

const UNKNOWN: CountryAnswer = Object.freeze({ note: 'unknown_code' });

/** `T1` and the like are written in lower case too. */
const LETTERS = /^[A-Za-z][A-Za-z0-9]$/;

const split = (codes: string): string[] => codes.split(' ');

/** Every code that we have a word for. Built once, so that an answer costs one lookup and no allocation. */
const ANSWERS: ReadonlyMap<string, CountryAnswer> = new Map<string, CountryAnswer>([
  ...split(ASSIGNED).map((code): [string, CountryAnswer] => [code, Object.freeze({ country: code })]),
  ...split(ALIASES).map((pair): [string, CountryAnswer] => [
    pair.slice(0, 2),
    Object.freeze({ country: pair.slice(3) }),
  ]),
  ...split(PSEUDO).map((code): [string, CountryAnswer] => [code, Object.freeze({ note: `pseudo:${code}` })]),
  ...split(WITHDRAWN).map((code): [string, CountryAnswer] => [code, Object.freeze({ note: `withdrawn:${code}` })]),
]);

const SOVEREIGNS: ReadonlyMap<Country, Country> = new Map(
  Object.entries(TERRITORIES).flatMap(([sovereign, codes]) =>
    split(codes).map((code): [Country, Country] => [code, sovereign]),
  ),
);

/** All country codes that `normaliseCountry` can give. */
export const COUNTRIES: ReadonlySet<Country> = new Set(split(ASSIGNED));

/**
 * Reads a country code as some source wrote it: either case, `UK` as GB, `EL` as GR. What is not one exact code of two
 * characters is `unknown_code`; its text is never given back, for it comes from outside.
 */
export function normaliseCountry(code: unknown): CountryAnswer {
  if (typeof code !== 'string' || code.length !== 2) return UNKNOWN;
  // Only ASCII: `toUpperCase` makes an S of a long one, and an I of one without a dot.
  return ANSWERS.get(code) ?? (LETTERS.test(code) ? ANSWERS.get(code.toUpperCase()) : undefined) ?? UNKNOWN;
}

/** Do two sets of countries have one in common? Codes must be normalised. */
export function overlaps(a: readonly Country[], b: readonly Country[]): boolean {
  for (const country of a) if (b.includes(country)) return true;
  return false;
}

/** Has one of `a` the same sovereign as one of `b`? Two territories of one country count too. Codes must be normalised. */
export function related(a: readonly Country[], b: readonly Country[]): boolean {
  for (const one of a) {
    const sovereign = sovereignOf(one);
    for (const other of b) if (sovereignOf(other) === sovereign) return true;
  }
  return false;
}

const sovereignOf = (country: Country): Country => SOVEREIGNS.get(country) ?? country;

/** What an address can be flagged as that leaves its country meaningless: its user is elsewhere, or it is everywhere. */
const INCONCLUSIVE: ReadonlySet<string> = new Set([
  'anonymiser',
  'anonymizer',
  'anycast',
  'hosting',
  'proxy',
  'satellite',
  'tor',
  'vpn',
]);

export type CountryComparison = 'match' | 'related' | 'mismatch' | 'unknown';

/**
 * Compares the countries that a user is known in with those an address may be in, each as the sources wrote them.
 *
 * Entries that are no country drop out; a side left empty is `unknown`. So is an address with a flag that makes its
 * country no evidence (`anycast`, `vpn`, `hosting` ...); `relay` is not one: private relays leave in the user's country.
 * One country in common is a `match`.
 */
export function compareCountries(
  baseline: readonly string[],
  current: readonly string[],
  flags: readonly string[] = [],
): CountryComparison {
  const known = countriesOf(baseline);
  const seen = countriesOf(current);
  if (known.length === 0 || seen.length === 0 || flags.some((flag) => INCONCLUSIVE.has(flag))) return 'unknown';
  if (overlaps(known, seen)) return 'match';
  return related(known, seen) ? 'related' : 'mismatch';
}

function countriesOf(codes: readonly string[]): Country[] {
  return codes.flatMap((code) => normaliseCountry(code).country ?? []);
}
