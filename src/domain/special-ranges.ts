/** Written by scripts/special-ranges.mjs: change that, or the registries' files, and run it again. */

import type { AddressKind } from './types.ts';

/** The day of the registries that this table is made of. */
export const SPECIAL_RANGES_DAY = '2025-10-09';

/**
 * Addresses that are no ordinary client's: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890, RFC 8190), with
 * multicast (RFC 5771, RFC 4291) and what has been withdrawn but is still seen. Rows may nest; the longest wins. The
 * registries' globally reachable service prefixes (anycast relays, AS112) are `reserved` here: they are answered from
 * everywhere, and no client logs in from one.
 */
export const SPECIAL_RANGES: readonly (readonly [cidr: string, kind: AddressKind, source: string])[] = [
  ['0.0.0.0/8', 'reserved', 'RFC 791: This network'],
  ['0.0.0.0/32', 'reserved', 'RFC 1122: This host on this network'],
  ['10.0.0.0/8', 'private', 'RFC 1918: Private-Use'],
  ['100.64.0.0/10', 'cgnat', 'RFC 6598: Shared Address Space'],
  ['127.0.0.0/8', 'loopback', 'RFC 1122: Loopback'],
  ['169.254.0.0/16', 'link-local', 'RFC 3927: Link Local'],
  ['172.16.0.0/12', 'private', 'RFC 1918: Private-Use'],
  ['192.0.0.0/24', 'reserved', 'RFC 6890: IETF Protocol Assignments'],
  ['192.0.0.0/29', 'reserved', 'RFC 7335: IPv4 Service Continuity Prefix'],
  ['192.0.0.8/32', 'reserved', 'RFC 7600: IPv4 dummy address'],
  ['192.0.0.9/32', 'reserved', 'RFC 7723: Port Control Protocol Anycast'],
  ['192.0.0.10/32', 'reserved', 'RFC 8155: Traversal Using Relays around NAT Anycast'],
  ['192.0.0.170/32', 'reserved', 'RFC 8880: NAT64/DNS64 Discovery'],
  ['192.0.0.171/32', 'reserved', 'RFC 8880: NAT64/DNS64 Discovery'],
  ['192.0.2.0/24', 'documentation', 'RFC 5737: Documentation (TEST-NET-1)'],
  ['192.31.196.0/24', 'reserved', 'RFC 7535: AS112-v4'],
  ['192.52.193.0/24', 'reserved', 'RFC 7450: AMT'],
  ['192.88.99.0/24', 'reserved', 'RFC 7526: Deprecated (6to4 Relay Anycast)'],
  ['192.168.0.0/16', 'private', 'RFC 1918: Private-Use'],
  ['192.175.48.0/24', 'reserved', 'RFC 7534: Direct Delegation AS112 Service'],
  ['198.18.0.0/15', 'benchmarking', 'RFC 2544: Benchmarking'],
  ['198.51.100.0/24', 'documentation', 'RFC 5737: Documentation (TEST-NET-2)'],
  ['203.0.113.0/24', 'documentation', 'RFC 5737: Documentation (TEST-NET-3)'],
  ['240.0.0.0/4', 'reserved', 'RFC 1112: Reserved'],
  ['255.255.255.255/32', 'reserved', 'RFC 8190: Limited Broadcast'],
  ['::1/128', 'loopback', 'RFC 4291: Loopback Address'],
  ['::/128', 'reserved', 'RFC 4291: Unspecified Address'],
  ['64:ff9b::/96', 'nat64', 'RFC 6052: IPv4-IPv6 Translat.'],
  ['64:ff9b:1::/48', 'nat64', 'RFC 8215: IPv4-IPv6 Translat.'],
  ['100::/64', 'reserved', 'RFC 6666: Discard-Only Address Block'],
  ['100:0:0:1::/64', 'reserved', 'RFC 9780: Dummy IPv6 Prefix'],
  ['2001::/23', 'reserved', 'RFC 2928: IETF Protocol Assignments'],
  ['2001::/32', 'teredo', 'RFC 4380: TEREDO'],
  ['2001:1::1/128', 'reserved', 'RFC 7723: Port Control Protocol Anycast'],
  ['2001:1::2/128', 'reserved', 'RFC 8155: Traversal Using Relays around NAT Anycast'],
  ['2001:1::3/128', 'reserved', 'RFC 9665: DNS-SD Service Registration Protocol Anycast'],
  ['2001:2::/48', 'benchmarking', 'RFC 5180: Benchmarking'],
  ['2001:3::/32', 'reserved', 'RFC 7450: AMT'],
  ['2001:4:112::/48', 'reserved', 'RFC 7535: AS112-v6'],
  ['2001:10::/28', 'reserved', 'RFC 4843: Deprecated (previously ORCHID)'],
  ['2001:20::/28', 'reserved', 'RFC 7343: ORCHIDv2'],
  ['2001:30::/28', 'reserved', 'RFC 9374: Drone Remote ID Protocol Entity Tags (DETs) Prefix'],
  ['2001:db8::/32', 'documentation', 'RFC 3849: Documentation'],
  ['2002::/16', '6to4', 'RFC 3056: 6to4'],
  ['2620:4f:8000::/48', 'reserved', 'RFC 7534: Direct Delegation AS112 Service'],
  ['3fff::/20', 'documentation', 'RFC 9637: Documentation'],
  ['5f00::/16', 'reserved', 'RFC 9602: Segment Routing (SRv6) SIDs'],
  ['fc00::/7', 'private', 'RFC 4193: Unique-Local'],
  ['fe80::/10', 'link-local', 'RFC 4291: Link-Local Unicast'],
  ['224.0.0.0/4', 'multicast', 'RFC 5771: multicast'],
  ['::/96', 'reserved', 'RFC 4291: IPv4-compatible, withdrawn'],
  ['::ffff:0:0:0/96', 'reserved', 'RFC 2765: IPv4-translated, withdrawn'],
  ['fec0::/10', 'reserved', 'RFC 3879: site-local, withdrawn'],
  ['ff00::/8', 'multicast', 'RFC 4291: multicast'],
];
