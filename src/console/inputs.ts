/** What a person typed into a form of the console: read strictly, refused with a sentence that says what to give. */

import { BouncerError } from '../errors.ts';

export const MAX_NOTE = 2000;
/** Of an entry of the lists. */
export const MAX_LIST_WHY = 500;

/** Text that must be there. Line breaks of a form are one line feed each. */
export function requiredText(form: URLSearchParams, field: string, max = MAX_NOTE): string {
  const text = optionalText(form, field, max);
  if (text === '') throw new BouncerError('option_invalid', `${field}: say it in 1 to ${max} characters`);
  return text;
}

export function optionalText(form: URLSearchParams, field: string, max = MAX_NOTE): string {
  const text = (form.get(field) ?? '').replace(/\r\n?/g, '\n').trim();
  if (text.length > max) throw new BouncerError('option_invalid', `${field}: at most ${max} characters`);
  return text;
}

/** For how long something holds: what the select boxes offer. `null`: until somebody removes it. */
export const DURATIONS = [
  ['1h', '1 hour', 3_600_000],
  ['1d', '1 day', 86_400_000],
  ['7d', '7 days', 7 * 86_400_000],
  ['30d', '30 days', 30 * 86_400_000],
  ['365d', '1 year', 365 * 86_400_000],
  ['forever', 'until it is removed', null],
] as const satisfies readonly (readonly [string, string, number | null])[];

export function duration(form: URLSearchParams, field: string): number | null {
  const found = DURATIONS.find(([value]) => value === form.get(field));
  if (found === undefined) {
    const values = DURATIONS.map(([value]) => value).join(', ');
    throw new BouncerError('option_invalid', `${field}: give one of ${values}`);
  }
  return found[2];
}

export function oneOf<T extends string>(form: URLSearchParams, field: string, values: readonly T[]): T {
  const value = form.get(field);
  const found = values.find((one) => one === value);
  if (found === undefined) throw new BouncerError('option_invalid', `${field}: give one of ${values.join(', ')}`);
  return found;
}
