/** `GeoIP.conf`, the file of geoipupdate: a setting a line, its name and its value; `#` begins a comment. */

import { BouncerError } from '../errors.ts';

/** The first line of that name; null where there is none. `name` is ours, never text from outside. */
export function confValue(text: string, name: string): string | null {
  return new RegExp(`^[ \\t]*${name}[ \\t]+([^\\s#].*?)[ \\t]*(?:[ \\t]#.*)?$`, 'm').exec(text)?.[1] ?? null;
}

/** The settings of geoipupdate's own file, which also name where its databases are. */
export interface GeoipConf {
  readonly accountId: string;
  readonly licenseKey: string;
  readonly editions: readonly string[];
  readonly directory: string | null;
}

/** Throws BouncerError `config_invalid`, which names the setting that is missing and never a value. */
export function parseGeoipConf(text: string): GeoipConf {
  const value = (name: string): string | null => confValue(text, name);
  const need = (name: string): string => {
    const found = value(name);
    if (found !== null) return found;
    throw new BouncerError(
      'config_invalid',
      `GeoIP.conf: ${name} is missing; see dev.maxmind.com/geoip/updating-databases`,
    );
  };
  return {
    accountId: need('AccountID'),
    licenseKey: need('LicenseKey'),
    editions: need('EditionIDs').split(/\s+/),
    directory: value('DatabaseDirectory'),
  };
}
