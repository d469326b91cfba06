/** What one whois answer (RFC 3912) means. Pure. See docs/architecture.md, "Registry evidence", for where the country stands. */

import type { ValidAddress } from '../../domain/address.ts';
import { whoisRegistry } from './bootstrap.ts';
import { holds, type IpRange, parseRange, sizeOf } from './range.ts';
import { badAnswer, countryOf, geofeedRemark, geofeedUrl, isPlaceholder, type Reply, rateLimited } from './reply.ts';
import { decodeWhois, parseWhois, valuesOf, type WhoisObject, type WhoisText } from './rpsl.ts';

/** A network with what belongs to it: in ARIN's form also the organisation that follows. */
interface Network {
  readonly range: IpRange;
  readonly attributes: WhoisObject;
  /** Written by IANA: it says which registry to ask, nothing about the holder. */
  readonly isIana: boolean;
}

const RANGE_NAMES = ['inetnum', 'inet6num', 'netrange'];

/** Reads the bytes that `host` sent for an address. Never throws. */
export function readWhois(bytes: Uint8Array, address: ValidAddress, host: string): Reply {
  const text = parseWhois(decodeWhois(bytes));
  const refusal = serverError(text);
  if (refusal !== null) return refusal;
  const networks = networksOf(text.objects);
  const holding = networks.filter(({ range }) => holds(range, address.ip, address.family));
  const [best] = holding.sort(bySize);
  if (best !== undefined) return readNetwork(best, host);
  if (networks.length > 0) return badAnswer('another_range');
  if (mentions(text, LIMITED)) return rateLimited();
  return mentions(text, NOTHING) ? { status: 'none' } : badAnswer('no_network');
}

/** `%ERROR:<code>` of the RIPE software, which APNIC and AFRINIC run too. Only the server can write such a line. */
function serverError({ comments }: WhoisText): Reply | null {
  const at = comments.findIndex((line) => /^%\s*ERROR:\s*\d+/i.test(line));
  if (at < 0) return null;
  const code = Number(/\d+/.exec(comments[at] ?? '')?.[0]);
  if (code === 101) return { status: 'none' };
  const words = comments.slice(at).join(' ');
  // 201: access denied, by day or for good. 203: the same for a proxy. 306: too many connections at this moment.
  if (code === 306) return rateLimited(null, true, false);
  if (code >= 200 && code < 300) return rateLimited(null, !/permanent/i.test(words));
  return { status: 'error', reason: 'server_error' };
}

function networksOf(objects: readonly WhoisObject[]): Network[] {
  const networks: Network[] = [];
  for (const [i, attributes] of objects.entries()) {
    const first = attributes[0];
    const range = first !== undefined && RANGE_NAMES.includes(first.name) ? parseRange(first.value) : null;
    if (first === undefined || range === null) continue;
    const after = followers(objects, i + 1);
    const isIana = valuesOf([...attributes, ...after], 'source').includes('IANA');
    const isSplit = isIana || first.name === 'netrange';
    networks.push({ range, attributes: isSplit ? [...attributes, ...after] : attributes, isIana });
  }
  return networks;
}

/** ARIN and IANA put blank lines into what belongs together: everything up to the next network. */
function followers(objects: readonly WhoisObject[], from: number): WhoisObject {
  const end = objects.findIndex((object, i) => i >= from && RANGE_NAMES.includes(object[0]?.name ?? ''));
  return objects.slice(from, end < 0 ? undefined : end).flat();
}

/** The smallest range first; IANA's last, for it only names a registry. */
function bySize(a: Network, b: Network): number {
  if (a.isIana !== b.isIana) return a.isIana ? 1 : -1;
  const [sizeA, sizeB] = [sizeOf(a.range), sizeOf(b.range)];
  return sizeA < sizeB ? -1 : sizeA > sizeB ? 1 : 0;
}

function readNetwork(network: Network, host: string): Reply {
  const { attributes, range, isIana } = network;
  const referral = referralOf(network, host);
  if (referral !== null) return referral;
  const names = valuesOf(attributes, 'netname');
  const texts = [...valuesOf(attributes, 'descr', 'remarks', 'comment', 'nettype')];
  const isIanaContact = valuesOf(attributes, 'admin-c', 'tech-c').some((handle) => /^IANA1-/i.test(handle));
  if (isIana || isIanaContact || isPlaceholder(names, texts)) return { status: 'not-authoritative' };
  // ARIN's first `Country` after the network is the organisation's; elsewhere the object's own, zero to many.
  const codes = valuesOf(attributes, 'country').filter((code) => code !== '');
  const isArin = attributes[0]?.name === 'netrange';
  return { status: 'ok', range, ...countryOf(isArin ? codes.slice(0, 1) : codes), geofeed: geofeedOf(attributes) };
}

/** Sent on elsewhere: by IANA, by ARIN for what other registries hold, or to a server of the holder's own. */
function referralOf({ attributes, isIana }: Network, host: string): Reply | null {
  const isForeign = valuesOf(attributes, 'nettype').some((type) => FOREIGN.test(type));
  const links = valuesOf(attributes, 'referralserver', ...(isIana ? ['refer', 'whois'] : []));
  for (const link of links) {
    // The holder's own server for what it hands on: of the network that is told here it takes nothing away.
    if (!isForeign && !isIana && /^rwhois:/i.test(link.trim())) continue;
    const target = targetOf(link);
    // What is on no list may be an internal host or another port: nothing of such an answer is used.
    if (target === null) return { status: 'blocked-referral' };
    if (target !== host.toLowerCase()) return { status: 'referral', host: target };
  }
  if (!isForeign) return null;
  const named = valuesOf(attributes, 'resourcelink').map(targetOf);
  const target = named.find((each) => each !== null && each !== host.toLowerCase());
  return target ? { status: 'referral', host: target } : { status: 'not-authoritative' };
}

/** ARIN's `NetType` of blocks that it lists but does not hold. */
const FOREIGN = /(transferred|allocated|assigned|maintained) (to|by) (the )?(afrinic|apnic|lacnic|ripe)/i;

/** `whois://host`, `whois://host:43` or a bare host name, if it is on the list. */
function targetOf(link: string): string | null {
  const [, host = ''] = /^(?:whois:\/\/)?([a-z0-9.-]{1,253})(?::43)?\/?$/i.exec(link.trim()) ?? [];
  return whoisRegistry(host) === null ? null : host.toLowerCase();
}

function geofeedOf(attributes: WhoisObject): string | null {
  const own = valuesOf(attributes, 'geofeed').map(geofeedUrl);
  const remarked = valuesOf(attributes, 'remarks', 'comment').map(geofeedRemark);
  return [...own, ...remarked].find((url) => url !== null) ?? null;
}

function mentions({ comments, objects }: WhoisText, pattern: RegExp): boolean {
  if (comments.some((line) => pattern.test(line))) return true;
  // An answer without a network is the server's own words, even where it forgets the mark before them.
  return objects.some((object) => object.some(({ name, value }) => pattern.test(`${name}: ${value}`)));
}

const LIMITED =
  /(rate|query|quer(y|ies) per|connection|access|daily) ?-?(limit|quota)|limit (exceeded|reached)|quota exceeded|too many|(access|permission|temporarily|permanently)[ -]denied|excessive quer|try again later/i;
const NOTHING = /\bno (match|entries|entry|data|object|record|information)\b|not found|nothing found/i;
