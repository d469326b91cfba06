/** What a program may give wrongly that sets the sources up. Text of a configuration file is checked where it is read. */

import { parseAddress } from '../domain/address.ts';
import { normaliseCountry } from '../domain/country.ts';
import { BouncerError } from '../errors.ts';
import type { ChainOptions } from './chain.ts';

/**
 * Before anything is opened: each of these would else leave a worker running with other sources than were meant, or with none.
 * Throws BouncerError `option_invalid`, which names the option and never the text.
 */
export function checkSourceOptions({ databases, overrides, canaries, maxAgeDays }: SourceOptions): void {
  if (!isPaths(databases)) throw invalid('databases', 'give a list of paths');
  if (!isPaths(overrides)) throw invalid('overrides', 'give a list of paths');
  if (!isCanaries(canaries))
    throw invalid(
      'canaries',
      "give plain public addresses with their two-letter countries, e.g. { '81.2.69.142': 'GB' }",
    );
  if (maxAgeDays !== undefined && !(typeof maxAgeDays === 'number' && maxAgeDays > 0))
    throw invalid('maxDatabaseAgeDays', 'give a number of days above 0');
}

type SourceOptions = Pick<ChainOptions, 'databases' | 'overrides' | 'canaries' | 'maxAgeDays'>;

const invalid = (name: string, what: string): BouncerError => new BouncerError('option_invalid', `${name}: ${what}`);

/** Callers in JavaScript say null as well. */
const isNone = (value: unknown): boolean => (value ?? null) === null;

const isPaths = (paths: unknown): boolean =>
  isNone(paths) || (Array.isArray(paths) && paths.every((path) => typeof path === 'string' && path !== ''));

function isCanaries(canaries: unknown): boolean {
  if (isNone(canaries)) return true;
  if (typeof canaries !== 'object' || Array.isArray(canaries)) return false;
  return Object.entries(canaries ?? {}).every(([address, country]) => {
    const parsed = parseAddress(address);
    return parsed.ok && parsed.kind === 'global' && normaliseCountry(country).country !== undefined;
  });
}
