/** `locate --registry`: what the address registries say of an address. It tells them that somebody asks about it. */

import { span } from '../domain/plain-words.ts';
import { evidenceOf } from '../domain/settle.ts';
import type { Evidence } from '../domain/types.ts';
import type { RegistryLookup } from '../ports.ts';
import { evidenceTable } from './evidence-table.ts';
import type { Terminal } from './terminal.ts';
import { clean } from './text.ts';

export type RegistryAnswer =
  | { readonly kind: 'word'; readonly evidence: readonly Evidence[] }
  | { readonly kind: 'later'; readonly afterMs: number; readonly why: string }
  /** The address is not a public one, or belongs to no registry. */
  | { readonly kind: 'nobody' };

export async function registryAnswer(address: string, lookup: RegistryLookup): Promise<RegistryAnswer> {
  const outcome = await lookup.lookup(address);
  // `recorded`: there is no login here for which a geofeed row could settle anything.
  return outcome.kind === 'word' ? { kind: 'word', evidence: evidenceOf(outcome.word, 'recorded') } : outcome;
}

export function registryLines(answer: RegistryAnswer, terminal: Terminal): string {
  if (answer.kind === 'word') return evidenceTable(answer.evidence, terminal);
  if (answer.kind === 'nobody') return 'registry: there is none to ask about this address';
  return clean(`registry: no answer now (${answer.why}); try again in ${span(answer.afterMs)}`);
}
