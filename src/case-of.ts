import { createHash } from 'node:crypto';
import { caseNumber } from './domain/case-number.ts';

/** The case number of a login: derived from its lid, so that whoever ends it, and however often, writes the same one. */
export function caseOf(lid: string): string {
  return caseNumber(createHash('sha256').update(`case:${lid}`).digest());
}
