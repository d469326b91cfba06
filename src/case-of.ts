import { createHash } from 'node:crypto';
import { caseNumber } from './domain/case-number.ts';
import type { LoginEvent } from './domain/types.ts';

/**
 * The case number of a login: derived from its lid, so that whoever ends it, and however often, writes the same one. What a
 * later request showed is a case of its own: a person may have answered that of the login itself.
 */
export function caseOf(lid: string, signal?: LoginEvent['signal']): string {
  const name = signal === undefined ? `case:${lid}` : `case:${lid}:${signal}`;
  return caseNumber(createHash('sha256').update(name).digest());
}
