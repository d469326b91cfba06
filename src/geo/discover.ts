/**
 * Where databases usually lie when nobody names them: the directories that geoipupdate and the distributions' packages use,
 * and the one that `GeoIP.conf` names. Taken by file name; what is in them is checked when they are opened.
 */

import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import { confValue } from './geoip-conf.ts';

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

/** What a file is good for, and whose it is: of each only the first one found is taken, and of its dated copies the newest. */
const SLOTS: readonly (readonly [RegExp, string])[] = [
  [/anonym/i, 'flags'],
  [/asn|isp/i, 'network'],
  // A country file says as much of countries as a city file, in a tenth of the memory.
  [/country|ipinfo[_-]?lite/i, 'country'],
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
  /** The name without its date: two files with the same one are copies of one database. */
  readonly stem: string;
  /** The day in its name (of a month, its first), or else when it was written; milliseconds since the epoch. */
  readonly dataAtMs: number;
}

/** As DB-IP (`-2026-11`), MaxMind's archives (`_20261117`) and people write it. */
const DATE_IN_NAME = /[._-]?(20\d\d)[._-]?(0[1-9]|1[0-2])(?:[._-]?(0[1-9]|[12]\d|3[01]))?(?!\d)/;

async function fileAt(path: string): Promise<Found> {
  const name = basename(path);
  const [text, year, month, day = '01'] = DATE_IN_NAME.exec(name) ?? [];
  const dataAtMs = text === undefined ? await writtenAtMs(path) : Date.parse(`${year}-${month}-${day}`);
  return { name, path, stem: name.replace(text ?? '', '').replace(/\.mmdb$/i, ''), dataAtMs };
}

const writtenAtMs = (path: string): Promise<number> =>
  stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );

async function databasesIn(directory: string): Promise<Found[]> {
  try {
    const names = await readdir(directory);
    const paths = names.filter((name) => /\.mmdb$/i.test(name)).map((name) => join(directory, name));
    const files = await Promise.all(paths.map(fileAt));
    return files.sort((a, b) => (a.stem === b.stem ? b.dataAtMs - a.dataAtMs : a.stem < b.stem ? -1 : 1));
  } catch {
    return [];
  }
}

/** The file also holds the account's license key: nothing else of it is looked at, or kept. */
async function databaseDirectory(path: string): Promise<string | null> {
  try {
    const text = (await readFile(path, 'utf8')).slice(0, MAX_CONFIGURATION);
    const directory = confValue(text, 'DatabaseDirectory');
    return directory !== null && isAbsolute(directory) ? directory : null;
  } catch {
    return null;
  }
}
