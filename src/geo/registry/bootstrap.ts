/**
 * Which registry looks after an address, and which hosts we may ever talk to about it.
 *
 * The table is a dated copy of IANA's RDAP bootstrap registries (RFC 9224), reduced to the five registries: ipv4.json as
 * published on 2019-06-07 (its rows are /8 blocks and were still the same in a copy of 2025) and ipv6.json of that later copy
 * (with APNIC's 2410::/12). A row that has moved since costs one redirect: the registries send each other's clients on.
 */

import { parseCidr } from '../../domain/address.ts';
import type { Registry } from '../../domain/registry.ts';
import type { AddressFamily } from '../../domain/types.ts';

export interface RegistryHosts {
  /** Base of the RDAP service (RFC 9224 section 3), with a slash at the end. */
  readonly rdap: string;
  /** Port 43 (RFC 3912). */
  readonly whois: string;
  /** What stands around the address in a whois query, so that one full answer comes back. */
  readonly query: (ip: string) => string;
}

const plain = (ip: string): string => ip;

export const REGISTRIES: Readonly<Record<Registry, RegistryHosts>> = {
  afrinic: { rdap: 'https://rdap.afrinic.net/rdap/', whois: 'whois.afrinic.net', query: plain },
  apnic: { rdap: 'https://rdap.apnic.net/', whois: 'whois.apnic.net', query: plain },
  // `n`: networks only; `+`: with the organisation, where ARIN keeps the country.
  arin: { rdap: 'https://rdap.arin.net/registry/', whois: 'whois.arin.net', query: (ip) => `n + ${ip}` },
  lacnic: { rdap: 'https://rdap.lacnic.net/rdap/', whois: 'whois.lacnic.net', query: plain },
  // `-r`: without the contacts, which we do not read and which RIPE counts against us.
  ripe: { rdap: 'https://rdap.db.ripe.net/', whois: 'whois.ripe.net', query: (ip) => `-r ${ip}` },
};

/** National registries below APNIC and LACNIC that the regional ones send clients on to. */
const NATIONAL_RDAP: Readonly<Record<string, Registry>> = {
  'idnic.rdap.apnic.net': 'apnic',
  'jpnic.rdap.apnic.net': 'apnic',
  'krnic.rdap.apnic.net': 'apnic',
  'twnic.rdap.apnic.net': 'apnic',
  'rdap.registro.br': 'lacnic',
};
const NATIONAL_WHOIS: Readonly<Record<string, Registry>> = {
  'whois.cnnic.cn': 'apnic',
  'whois.kisa.or.kr': 'apnic',
  'whois.krnic.net': 'apnic',
  'whois.nic.ad.jp': 'apnic',
  'whois.twnic.net.tw': 'apnic',
  'whois.nic.br': 'lacnic',
  'whois.registro.br': 'lacnic',
};

const entries = Object.entries(REGISTRIES) as [Registry, RegistryHosts][];

const RDAP_HOSTS: ReadonlyMap<string, Registry> = new Map([
  ...entries.map(([registry, { rdap }]): [string, Registry] => [new URL(rdap).hostname, registry]),
  ...Object.entries(NATIONAL_RDAP),
]);
const WHOIS_HOSTS: ReadonlyMap<string, Registry> = new Map([
  ...entries.map(([registry, { whois }]): [string, Registry] => [whois, registry]),
  ...Object.entries(NATIONAL_WHOIS),
]);

/** Whose RDAP server this is; null where we must not connect. */
export const rdapRegistry = (host: string): Registry | null => RDAP_HOSTS.get(host.toLowerCase()) ?? null;

/** Whose whois server this is; null where we must not connect. */
export const whoisRegistry = (host: string): Registry | null => WHOIS_HOSTS.get(host.toLowerCase()) ?? null;

/** IPv4: first octets, each a whole /8. */
const V4: Readonly<Record<Registry, string>> = {
  afrinic: '41 102 105 154 196 197',
  apnic: '1 14 27 36 39 42 43 49 58-61 101 103 106 110-126 133 150 153 163 171 175 180 182 183 202 203 210 211 218-223',
  arin:
    '3 4 6-9 11-13 15-24 26 28-30 32-35 38 40 44 45 47 48 50 52 54-56 63-76 96-100 104 107 108 128-132 134-140 ' +
    '142-144 146-149 152 155-162 164-170 172-174 184 192 198 199 204-209 214-216',
  lacnic: '177 179 181 186 187 189-191 200 201',
  ripe: '2 5 25 31 37 46 51 53 57 62 77-95 109 141 145 151 176 178 185 188 193-195 212 213 217',
};

const V6: Readonly<Record<Registry, string>> = {
  afrinic: '2001:4200::/23 2c00::/12',
  apnic:
    '2001:200::/23 2001:4400::/23 2001:8000::/19 2001:a000::/20 2001:b000::/20 2001:c00::/23 2001:e00::/23 2400::/12 ' +
    '2410::/12',
  arin: '2001:1800::/23 2001:400::/23 2001:4800::/23 2600::/12 2610::/23 2620::/23 2630::/12',
  lacnic: '2001:1200::/23 2800::/12',
  ripe:
    '2001:1400::/22 2001:1a00::/23 2001:1c00::/22 2001:2000::/19 2001:4000::/23 2001:4600::/23 2001:4a00::/23 ' +
    '2001:4c00::/23 2001:5000::/20 2001:600::/23 2001:800::/22 2003::/18 2a00::/12 2a10::/12',
};

const BY_OCTET: ReadonlyMap<number, Registry> = new Map(
  Object.entries(V4).flatMap(([registry, octets]) => octetsOf(octets).map((octet) => [octet, registry as Registry])),
);

function octetsOf(text: string): number[] {
  return text.split(' ').flatMap((part) => {
    const [from = 0, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

/** A prefix of at most 32 bits as a range of its first 32 bits: none of the table's is longer. */
const BY_PREFIX = Object.entries(V6).flatMap(([registry, prefixes]) =>
  prefixes.split(' ').map((text) => {
    const cidr = parseCidr(text);
    const first = (cidr?.words[0] ?? 0) * 65_536 + (cidr?.words[1] ?? 0);
    return { first, last: first + 2 ** (32 - (cidr?.prefix ?? 32)) - 1, registry: registry as Registry };
  }),
);

/** `ip` is canonical. Null for space that IANA has given to no registry: there is nobody to ask. */
export function registryOf(ip: string, family: AddressFamily): Registry | null {
  if (family === 4) return BY_OCTET.get(Number.parseInt(ip, 10)) ?? null;
  const words = parseCidr(ip)?.words ?? [];
  const start = (words[0] ?? 0) * 65_536 + (words[1] ?? 0);
  return BY_PREFIX.find(({ first, last }) => first <= start && start <= last)?.registry ?? null;
}
