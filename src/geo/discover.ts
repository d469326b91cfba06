/**
 * Where databases usually lie when nobody names them: the directories that geoipupdate and the distributions' packages use,
 * and the one that `GeoIP.conf` names. Taken by file name; what is in them is checked when they are opened.
 */

import { readdir, readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';

export interface Places {
  readonly directories: readonly string[];
  /** Files of geoipupdate's form: their `DatabaseDirectory` is looked at first. */
  readonly configurations: readonly string[];
}

export const USUAL_PLACES: Places = {
  directories: ['/usr/share/GeoIP', '/var/lib/GeoIP', '/usr/local/share/GeoIP'],
  configurations: ['/etc/GeoIP.conf', '/usr/local/etc/GeoIP.conf'],
};

const MAX_CONFIGURATION = 64 * 1024;

/** What a file is good for, and whose it is: of each only the first one found is taken. */
const SLOTS: readonly (readonly [RegExp, string])[] = [
  [/anonym/i, 'flags'],
  [/asn|isp/i, 'network'],
  // A country file says as much of countries as a city file, in a tenth of the memory.
  [/country/i, 'country'],
  [/city|enterprise|location/i, 'country'],
];
const VENDORS = [/geolite2?|geoip2?/i, /db-?ip/i, /ipinfo/i, /ip2location/i];

/** Paths in the order to open them; empty where there is nothing. Never throws. */
export async function discoverDatabases(places: Places = USUAL_PLACES): Promise<string[]> {
  const named = await Promise.all(places.configurations.map(databaseDirectory));
  const directories = [...new Set([...named.filter((path) => path !== null), ...places.directories])];
  const found = (await Promise.all(directories.map(databasesIn))).flat();
  const taken = new Map<string, string>();
  for (const [rank] of SLOTS.entries()) {
    for (const file of found) {
      const slot = slotOf(file.name, rank);
      if (slot !== null && !taken.has(slot)) taken.set(slot, file.path);
    }
  }
  return [...taken.values()];
}

/** e.g. `0:country`, for MaxMind's; null where the file's name is not of this rank. */
function slotOf(name: string, rank: number): string | null {
  const first = SLOTS.findIndex(([pattern]) => pattern.test(name));
  const role = SLOTS[rank]?.[1];
  if (first !== rank || role === undefined) return null;
  const vendor = VENDORS.findIndex((pattern) => pattern.test(name));
  return `${vendor === -1 ? name : vendor}:${role}`;
}

interface Found {
  readonly name: string;
  readonly path: string;
}

async function databasesIn(directory: string): Promise<Found[]> {
  try {
    const names = await readdir(directory);
    const databases = names.filter((name) => /\.mmdb$/i.test(name)).sort();
    return databases.map((name) => ({ name, path: join(directory, name) }));
  } catch {
    return [];
  }
}

/** The file also holds the account's license key: nothing else of it is looked at, or kept. */
async function databaseDirectory(path: string): Promise<string | null> {
  try {
    const text = (await readFile(path, 'utf8')).slice(0, MAX_CONFIGURATION);
    const directory = /^[ \t]*DatabaseDirectory[ \t]+(\S.*?)[ \t]*$/m.exec(text)?.[1] ?? null;
    return directory !== null && isAbsolute(directory) ? directory : null;
  } catch {
    return null;
  }
}
