/** Errors as a process tells them: a line for a person, places for a log; never a stack, whose text may quote outsiders. */

import { BouncerError, errorName } from '../src/errors.ts';

/** For standard error: `code: message`. What nobody expected is told by its class and where it was thrown. */
export function failureLine(error: unknown): string {
  if (error instanceof BouncerError) return `${error.code}: ${error.message}`;
  const [at] = placesOf(error);
  return `unexpected: ${errorName(error)}${at === undefined ? '' : ` at ${at}`}`;
}

/** File, line and column of the innermost frames of our own code and its libraries. */
export function placesOf(error: unknown): string[] {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const frames = stack.matchAll(/^ {4}at .*?([\w.-]{1,80}\.[cm]?[jt]s:\d{1,7}:\d{1,7})\)?$/gm);
  return [...frames].slice(0, 5).map(([, at = '']) => at);
}
