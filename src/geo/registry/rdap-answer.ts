/** What one RDAP answer about an address (RFC 9083 section 5.4) means. Pure. */

import type { IncomingHttpHeaders } from 'node:http';
import type { ValidAddress } from '../../domain/address.ts';
import type { Country } from '../../domain/types.ts';
import { countryNamed } from './country-names.ts';
import { holds, rangeOf } from './range.ts';
import { badAnswer, countryOf, geofeedRemark, geofeedUrl, isPlaceholder, type Reply, rateLimited } from './reply.ts';

export interface RdapHttp {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

/** Deeper is no RDAP: ours is read without recursion, but what is passed on must not hurt the next reader. */
const MAX_DEPTH = 64;
/** Lists are read this far. */
const MAX_LIST = 200;

type Json = Readonly<Record<string, unknown>>;

/** Reads the final answer (redirects are followed before). Never throws. `nowMs`: for a `Retry-After` that is a date. */
export function readRdap(http: RdapHttp, address: ValidAddress, nowMs: number): Reply {
  if (http.status === 429) return rateLimited(retryAfterMs(http.headers['retry-after'], nowMs));
  if (http.status === 503 && http.headers['retry-after'] !== undefined) {
    return rateLimited(retryAfterMs(http.headers['retry-after'], nowMs));
  }
  if (http.status === 403) return rateLimited(null, false);
  if (http.status === 404) return { status: 'none' };
  if (http.status !== 200) return { status: 'error', reason: 'http_status' };
  const json = parseJson(http.body);
  if (typeof json === 'string') return badAnswer(json);
  return readNetwork(json, address);
}

const HOUR_MS = 3_600_000;

/** `Retry-After` (RFC 9110 section 10.2.3), seconds or a date, kept between 1 s and 1 h; null where there is none to read. */
export function retryAfterMs(value: string | undefined, nowMs: number): number | null {
  const text = value?.trim() ?? '';
  if (text === '' || text.length > 64) return null;
  // A date begins with its day: `Date.parse` alone would read one into `5.5`.
  const isDate = /^[a-z]{3,9}[ ,]/i.test(text);
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : isDate ? Date.parse(text) - nowMs : Number.NaN;
  return Number.isNaN(ms) ? null : Math.min(HOUR_MS, Math.max(1000, ms));
}

/** The object, or a word that says why there is none. */
function parseJson(body: Uint8Array): Json | string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return 'not_utf8';
  }
  if (isTooDeep(text)) return 'too_deep';
  try {
    const json: unknown = JSON.parse(text);
    return isObject(json) ? json : 'not_an_object';
  } catch {
    return 'not_json';
  }
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  let isString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (isString) {
      if (code === 92) i++;
      else if (code === 34) isString = false;
    } else if (code === 34) isString = true;
    else if (code === 91 || code === 123) {
      if (++depth > MAX_DEPTH) return true;
    } else if (code === 93 || code === 125) depth--;
  }
  return false;
}

function readNetwork(json: Json, address: ValidAddress): Reply {
  const range = rangeOf(json.startAddress, json.endAddress);
  if (isRateNotice(json, range !== null)) return rateLimited();
  if (json.errorCode === 404) return { status: 'none' };
  if (range === null) return badAnswer('no_network');
  if (!holds(range, address.ip, address.family)) return badAnswer('another_range');
  if (isForeign(json)) return { status: 'not-authoritative' };
  return { status: 'ok', range, ...holderCountry(json), geofeed: geofeedOf(json) };
}

/** LACNIC says "too many" in a notice of an answer with status 200; some say 429 in the body only. */
function isRateNotice(json: Json, hasNetwork: boolean): boolean {
  if (json.errorCode === 429) return true;
  return list(json.notices).some((notice) => {
    const text = [notice.title, ...strings(notice.description), json.title].join(' ');
    if (!hasNetwork) return /rate.?limit|quota|too many|quer(y|ies) limit/i.test(text);
    // With a network, the terms of use may speak of limits and of those who are blocked: only one that is reached is a refusal.
    return LIMIT_REACHED.test(text) || (typeof notice.title === 'string' && LIMIT_TITLE.test(notice.title));
  });
}

const LIMIT_REACHED = /(limit|quota) (has been |was |is )?(exceeded|reached)/i;
const LIMIT_TITLE = /^\s*(query )?rate.?limit( notice| error)?[.!:]?\s*$/i;

/** Space of another registry: a placeholder by its words, or one whose registrant is a registry. */
function isForeign(json: Json): boolean {
  const texts = [json.type, ...remarks(json)].filter((text): text is string => typeof text === 'string');
  if (isPlaceholder(strings([json.name]), texts)) return true;
  return registrants(json).some(({ handle }) => typeof handle === 'string' && OTHER_REGISTRIES.has(handle));
}

/** ARIN's handles of the others, and IANA's. (ARIN's own networks are its own.) */
const OTHER_REGISTRIES: ReadonlySet<string> = new Set(['AFRINIC', 'AFRNIC', 'APNIC', 'IANA', 'LACNIC', 'RIPE']);

/** `country` of the network; where it has none (ARIN), that of its registrant's postal address. */
function holderCountry(json: Json): { country: Country | null; note?: string } {
  const own = typeof json.country === 'string' ? json.country.replace(/#.*$/s, '').trim() : '';
  if (own !== '') return countryOf([own]);
  for (const registrant of registrants(json)) {
    const country = vcardCountry(registrant.vcardArray);
    if (country !== null) return { country, note: 'registrant_address' };
  }
  return { country: null };
}

function registrants(json: Json): Json[] {
  return list(json.entities).filter(({ roles }) => strings(roles).includes('registrant'));
}

/** jCard (RFC 7095): `["adr", {"cc": ..., "label": ...}, "text", [.., country]]`. The label's last line is the country. */
function vcardCountry(vcard: unknown): Country | null {
  const rows = Array.isArray(vcard) && Array.isArray(vcard[1]) ? (vcard[1] as unknown[]).slice(0, MAX_LIST) : [];
  for (const row of rows) {
    if (!Array.isArray(row) || row[0] !== 'adr') continue;
    const parameters = isObject(row[1]) ? row[1] : {};
    const parts: unknown = row[3];
    const country = [parameters.cc, Array.isArray(parts) ? parts[6] : undefined, lastLine(parameters.label)]
      .filter((text): text is string => typeof text === 'string')
      .map(countryNamed)
      .find((code) => code !== null);
    if (country !== undefined) return country;
  }
  return null;
}

/** Lines end with a line feed, or with the two characters that some servers write instead. */
function lastLine(label: unknown): string | undefined {
  if (typeof label !== 'string' || label.length > 2048) return undefined;
  return label
    .split(/\r?\n|\\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .at(-1);
}

/** The link (RFC 9877: relation `geo`), an old member, or a remark (RFC 9632). */
function geofeedOf(json: Json): string | null {
  const links = list(json.links).filter(({ rel }) => relations(rel).some((one) => one === 'geo' || one === 'geofeed'));
  const found = [...links.map(({ href }) => geofeedUrl(href)), geofeedUrl(json.geofeed)];
  return [...found, ...remarks(json).map(geofeedRemark)].find((url) => url !== null) ?? null;
}

/** One or more relations, in any case, with blanks between them (RFC 8288 section 3.3). */
function relations(rel: unknown): string[] {
  return typeof rel === 'string' ? rel.slice(0, 256).toLowerCase().split(/\s+/) : [];
}

function remarks(json: Json): string[] {
  return list(json.remarks).flatMap(({ description }) => strings(description));
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function list(value: unknown): Json[] {
  return Array.isArray(value) ? value.slice(0, MAX_LIST).filter(isObject) : [];
}

function strings(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value
    .slice(0, MAX_LIST)
    .filter((each): each is string => typeof each === 'string')
    .map((each) => each.slice(0, 2048));
}
