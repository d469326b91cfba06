/** What a record of an `.mmdb` file says, in our words. Its own objects never leave this file. */

import { normaliseCountry } from '../domain/country.ts';
import type { AddressFlag, Country } from '../domain/types.ts';
import type { Details, SourceRole } from './source.ts';

/** Shared between lookups, so never changed. */
export interface Reading {
  readonly country: Country | null;
  readonly note: string | undefined;
  readonly details: Details | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

const MAX_HOLDER = 128;

export function readingOf(record: unknown, role: SourceRole): Reading {
  const details = isMap(record) ? detailsOf(record) : undefined;
  if (role !== 'country') return { country: null, note: undefined, details };
  const code = codeOf(record);
  // Where only the registration's country is known, that is a note and no answer.
  const registered = registeredNote(record, code);
  if (code === undefined) return { country: null, note: registered, details };
  const { country = null, note = registered } = normaliseCountry(code);
  return { country, note, details };
}

/** MaxMind and DB-IP: `country.iso_code`. ip-location-db and IPinfo: `country_code`, or a bare string. */
function codeOf(record: unknown): unknown {
  if (!isMap(record)) return record;
  const country = record.country;
  return (
    (isMap(country) ? country.iso_code : undefined) ?? record.country_code ?? (isMap(country) ? undefined : country)
  );
}

function registeredNote(record: unknown, code: unknown): string | undefined {
  const registered = isMap(record) ? record.registered_country : undefined;
  if (!isMap(registered) || registered.iso_code === code) return undefined;
  const { country } = normaliseCountry(registered.iso_code);
  return country === undefined ? undefined : `registered:${country}`;
}

function detailsOf(record: Fields): Details | undefined {
  const details = { ...placeOf(record), ...flagsOf(record), ...networkOf(record) };
  return Object.keys(details).length === 0 ? undefined : Object.freeze(details);
}

/** City files: `location` (MaxMind, DB-IP), or plain fields (ip-location-db, as texts). */
function placeOf(record: Fields): Details {
  const location = isMap(record.location) ? record.location : record;
  const latitude = within(location.latitude, 90);
  const longitude = within(location.longitude, 180);
  if (latitude === undefined || longitude === undefined) return {};
  const radiusKm = within(location.accuracy_radius, 20_040);
  return radiusKm === undefined ? { latitude, longitude } : { latitude, longitude, radiusKm };
}

function within(value: unknown, limit: number): number | undefined {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof number === 'number' && Math.abs(number) <= limit ? number : undefined;
}

/** Fields of MaxMind's Anonymous IP and `traits`, and of IPinfo's privacy files. */
const ANONYMISER = [
  'is_anonymous_vpn',
  'is_public_proxy',
  'is_residential_proxy',
  'is_tor_exit_node',
  'is_anonymous_proxy',
  'proxy',
  'tor',
  'vpn',
];
const HOSTING = ['is_hosting_provider', 'hosting'];
const ANYCAST = ['is_anycast', 'anycast'];

function flagsOf(record: Fields): Details {
  const traits = isMap(record.traits) ? record.traits : {};
  const isSet = (name: string): boolean => isTrue(record[name]) || isTrue(traits[name]);
  const flags: AddressFlag[] = [];
  const isHosting = HOSTING.some(isSet);
  // MaxMind's `is_anonymous` sums up all others, hosting too.
  if (ANONYMISER.some(isSet) || (isSet('is_anonymous') && !isHosting)) flags.push('anonymiser');
  if (ANYCAST.some(isSet)) flags.push('anycast');
  if (isHosting) flags.push('hosting');
  return flags.length === 0 ? {} : { flags: Object.freeze(flags) };
}

const isTrue = (value: unknown): boolean => value === true || value === 1 || value === 'true';

/** ASN and ISP files. IPinfo writes `AS15169`. */
function networkOf(record: Fields): Details {
  const given = record.autonomous_system_number ?? record.asn;
  const asn = Number(typeof given === 'string' ? given.replace(/^AS/i, '') : given);
  const holder = record.autonomous_system_organization ?? record.as_name ?? record.organization;
  return {
    ...(Number.isInteger(asn) && asn > 0 && asn < 2 ** 32 ? { asn } : {}),
    ...(typeof holder === 'string' && holder !== '' ? { holder: holder.slice(0, MAX_HOLDER) } : {}),
  };
}

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}
