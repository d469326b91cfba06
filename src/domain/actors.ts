/** Names under which no person acts: on an incident and in the audit they say that a machine did, or the session's user. */

import { USER } from './incident.ts';
import { SETTLED_BY } from './registry.ts';

export const RESERVED_NAMES: readonly string[] = [USER, SETTLED_BY, 'brake', 'worker', 'system'];

/** However it is spelled: a reader would take `Brake` or a full-width `ｕｓｅｒ` for the same. */
export const isReservedName = (name: string): boolean =>
  RESERVED_NAMES.includes(name.normalize('NFKC').trim().toLowerCase());
