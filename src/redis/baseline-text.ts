import type { FamilyBaseline, KnownNetwork, Place } from '../domain/types.ts';
import type { StoredBaseline } from '../ports.ts';

/**
 * There is one such value a user, read and written at most logins: short, flat, and spelled by hand. `r` must stand
 * first, the script reads it there. Places are runs of four (countries, agreed, first seen, last seen), networks of three.
 */
interface Wire {
  r: number;
  4: WireFamily;
  6: WireFamily;
}
type WireFamily = [places: (string | number)[], networks: (string | number)[]];

const EMPTY: FamilyBaseline = { places: [], networks: [] };
export const NOTHING_STORED: StoredBaseline = { baseline: { v4: EMPTY, v6: EMPTY }, revision: 0 };

/** A network as it was read. Most go back as they came: what they were spelled like is kept, and not worked out again. */
class StoredNetwork implements KnownNetwork {
  readonly network: string;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  readonly #text: string;

  constructor(text: string, network: string, firstSeenMs: number, lastSeenMs: number) {
    this.network = network;
    this.firstSeenMs = firstSeenMs;
    this.lastSeenMs = lastSeenMs;
    this.#text = text;
  }

  static textOf(one: KnownNetwork): string {
    return #text in one ? one.#text : `"${one.network}",${timesOf(one)}`;
  }
}

/** The value that is written over the revision that it was made from. */
export function encodeBaseline({ baseline: { v4, v6 }, revision }: StoredBaseline): string {
  return `{"r":${revision + 1},"4":${encodeFamily(v4)},"6":${encodeFamily(v6)}}`;
}

/** Country codes and networks are letters, digits and `.:/`: nothing in them needs escaping. */
function encodeFamily({ places, networks }: FamilyBaseline): string {
  let text = '';
  for (const place of places) {
    text += `${text && ','}"${place.countries.join(',')}",${place.agreed ? 1 : 0},${timesOf(place)}`;
  }
  let rest = '';
  for (const network of networks) rest += `${rest && ','}${StoredNetwork.textOf(network)}`;
  return `[[${text}],[${rest}]]`;
}

/** Of what was seen once both are the same, and a number of this size takes long to spell. */
function timesOf({ firstSeenMs, lastSeenMs }: { readonly firstSeenMs: number; readonly lastSeenMs: number }): string {
  const first = String(firstSeenMs);
  return `${first},${firstSeenMs === lastSeenMs ? first : String(lastSeenMs)}`;
}

/** Throws where the value is none of ours. */
export function decodeBaseline(value: string): StoredBaseline {
  const ours = decodeOurs(value);
  if (ours !== null) return ours;
  const wire = JSON.parse(value) as Wire;
  return { baseline: { v4: familyOf(...wire[4]), v6: familyOf(...wire[6]) }, revision: wire.r };
}

export function revisionOf(value: string): number {
  return Number(/^\{"r":(\d+)/.exec(value)?.[1] ?? 0);
}

/** What stands between the revision, the places and the networks of both families: none of these holds a bracket. */
const MARKS = [',"4":[[', '],[', ']],"6":[[', '],[', ']]}'];
const HEAD = '{"r":';

/** JSON as `encodeBaseline` spells it, without making a list of all its parts; null for any other. */
function decodeOurs(value: string): StoredBaseline | null {
  if (!value.startsWith(HEAD) || value.includes('\\')) return null;
  const parts: string[] = [];
  let from = HEAD.length;
  for (const mark of MARKS) {
    const at = value.indexOf(mark, from);
    if (at < 0) return null;
    parts.push(value.slice(from, at));
    from = at + mark.length;
  }
  if (from !== value.length) return null;
  const [revision = '', places4 = '', networks4 = '', places6 = '', networks6 = ''] = parts;
  const v4 = decodeFamily(places4, networks4);
  const v6 = decodeFamily(places6, networks6);
  const read = digits(revision, 0, revision.length);
  return v4 === null || v6 === null || read < 0 ? null : { baseline: { v4, v6 }, revision: read };
}

function decodeFamily(places: string, networks: string): FamilyBaseline | null {
  if (places === '' && networks === '') return EMPTY;
  const read = networksIn(networks);
  return read === null ? null : { places: placesOf(JSON.parse(`[${places}]`) as (string | number)[]), networks: read };
}

function networksIn(text: string): KnownNetwork[] | null {
  const networks: KnownNetwork[] = [];
  for (let from = 0; from < text.length; ) {
    const next = text.indexOf(',"', from);
    const end = next < 0 ? text.length : next;
    const quote = text.indexOf('"', from + 1);
    const comma = text.indexOf(',', quote + 2);
    if (text[from] !== '"' || quote < 0 || text[quote + 1] !== ',') return null;
    const firstSeenMs = digits(text, quote + 2, comma);
    const lastSeenMs = digits(text, comma + 1, end);
    if (firstSeenMs < 0 || lastSeenMs < 0) return null;
    networks.push(new StoredNetwork(text.slice(from, end), text.slice(from + 1, quote), firstSeenMs, lastSeenMs));
    from = end + 1;
  }
  return networks;
}

/** `text[from..end)` as a whole number; -1 where it is none. */
function digits(text: string, from: number, end: number): number {
  if (end <= from || end - from > 15) return -1;
  let value = 0;
  for (let i = from; i < end; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function familyOf(flatPlaces: (string | number)[], flatNetworks: (string | number)[]): FamilyBaseline {
  if (flatPlaces.length === 0 && flatNetworks.length === 0) return EMPTY;
  const networks: KnownNetwork[] = [];
  for (let i = 0; i < flatNetworks.length; i += 3) {
    const [network, firstSeenMs, lastSeenMs] = flatNetworks.slice(i, i + 3) as [string, number, number];
    networks.push({ network, firstSeenMs, lastSeenMs });
  }
  return { places: placesOf(flatPlaces), networks };
}

function placesOf(flat: (string | number)[]): Place[] {
  const places: Place[] = [];
  for (let i = 0; i < flat.length; i += 4) {
    const [countries, agreed, firstSeenMs, lastSeenMs] = flat.slice(i, i + 4) as [string, number, number, number];
    const list = countries.length === 2 ? [countries] : countries.split(',');
    places.push({ countries: list, agreed: agreed === 1, firstSeenMs, lastSeenMs });
  }
  return places;
}
