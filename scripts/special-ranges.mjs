/**
 * Writes src/domain/special-ranges.ts from the CSV form of IANA's two special-purpose registries:
 *
 *   node scripts/special-ranges.mjs DAY iana-ipv4-special-registry-1.csv iana-ipv6-special-registry-1.csv > src/domain/special-ranges.ts
 *
 * DAY is the registries' own "Last Updated", e.g. 2025-10-09. Both files are linked from
 * https://www.iana.org/assignments/iana-ipv4-special-registry and .../iana-ipv6-special-registry.
 * A row whose name is unknown here becomes `reserved`: no client logs in from a block that IANA calls special.
 */

import { readFileSync } from 'node:fs';

/** By the registry's name of a block. What is not here is `reserved`. */
const KINDS = [
  [/^private-use$|^unique-local$/i, 'private'],
  [/^shared address space$/i, 'cgnat'],
  [/^loopback/i, 'loopback'],
  [/^link.local/i, 'link-local'],
  [/^documentation/i, 'documentation'],
  [/^benchmarking$/i, 'benchmarking'],
  [/^ipv4-ipv6 translat/i, 'nat64'],
  [/^teredo$/i, 'teredo'],
  [/^6to4$/i, '6to4'],
];

/** Special too, but of other registries, or withdrawn and still seen. */
const MORE = [
  ['224.0.0.0/4', 'multicast', 'RFC 5771: multicast'],
  ['::/96', 'reserved', 'RFC 4291: IPv4-compatible, withdrawn'],
  ['::ffff:0:0:0/96', 'reserved', 'RFC 2765: IPv4-translated, withdrawn'],
  ['fec0::/10', 'reserved', 'RFC 3879: site-local, withdrawn'],
  ['ff00::/8', 'multicast', 'RFC 4291: multicast'],
];

/** No address that we parse is left in it: a mapped one is read as the IPv4 address that it is. */
const UNMAPPED = '::ffff:0:0/96';

/** RFC 4180: quotes, doubled quotes, line breaks within quotes. */
function readCsv(text) {
  const rows = [[]];
  for (const [, quoted, plain = '', end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1).push((quoted?.replaceAll('""', '"') ?? plain).replace(/\s+/g, ' ').trim());
    if (end !== ',') rows.push([]);
  }
  return rows.filter((row) => row.some((cell) => cell !== ''));
}

function rowsOf(path) {
  const [head, ...rows] = readCsv(readFileSync(path, 'utf8'));
  const at = (title) => {
    const index = head.indexOf(title);
    if (index === -1) throw new Error(`${path}: no column "${title}"; is it the registry's CSV form?`);
    return index;
  };
  const [block, name, rfc] = ['Address Block', 'Name', 'RFC'].map(at);
  return rows.flatMap((row) => {
    const blocks = row[block].split(',').map((cidr) => cidr.replace(/\[\d+\]/g, '').trim());
    return blocks
      .filter((cidr) => cidr !== UNMAPPED)
      .map((cidr) => [cidr, kindOf(row[name]), source(row[rfc], row[name])]);
  });
}

const kindOf = (name) => KINDS.find(([pattern]) => pattern.test(name))?.[1] ?? 'reserved';

const source = (rfc, name) =>
  `${(/RFC ?(\d+)/.exec(rfc)?.[0] ?? 'IANA').replace(/RFC ?/, 'RFC ')}: ${name.replaceAll('"', '').replaceAll("'", '')}`;

const [day = '', ...paths] = process.argv.slice(2);
if (!/^\d{4}-\d\d-\d\d$/.test(day) || paths.length !== 2) {
  console.error('usage: node scripts/special-ranges.mjs DAY IPV4.csv IPV6.csv');
  process.exit(1);
}
const table = [...paths.flatMap(rowsOf), ...MORE];
const lines = table.map((row) => `  [${row.map((cell) => `'${cell}'`).join(', ')}],`);

console.log(`/** Written by scripts/special-ranges.mjs: change that, or the registries' files, and run it again. */

import type { AddressKind } from './types.ts';

/** The day of the registries that this table is made of. */
export const SPECIAL_RANGES_DAY = '${day}';

/**
 * Addresses that are no ordinary client's: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890, RFC 8190), with
 * multicast (RFC 5771, RFC 4291) and what has been withdrawn but is still seen. Rows may nest; the longest wins. The
 * registries' globally reachable service prefixes (anycast relays, AS112) are \`reserved\` here: they are answered from
 * everywhere, and no client logs in from one.
 */
export const SPECIAL_RANGES: readonly (readonly [cidr: string, kind: AddressKind, source: string])[] = [
${lines.join('\n')}
];`);
