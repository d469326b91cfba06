/** What people did, in plain words: of the audit, and of one case. */

import type { AuditAct } from '../ports.ts';

export const ACTS: Readonly<Record<AuditAct, string>> = {
  end: 'ended a session',
  end_all: 'ended all sessions',
  end_others: 'ended all other sessions',
  php_end: 'ended what PHP keeps of a login',
  answer: 'answered',
  undo: 'gave a session back',
  trust: 'trusted a place',
  forget_trust: 'no longer trusts a place',
  list_add: 'added to a list',
  list_remove: 'removed from a list',
  brake_trip: 'the safety brake held',
  brake_reset: 'let the safety brake go',
  forget_user: 'forgot a user',
  hold: 'was given what is held',
  export: 'exported',
  retry_notification: 'sent a notification again',
  sign_in: 'signed in',
  sign_in_refused: 'was refused to sign in',
  sign_out: 'signed out',
};

/** Codes only, `safe, taught, give_back failed`: the name of an entry of a list, or of a user, keeps its underscores. */
const CODES = /^[a-z_]+(, [a-z_]+( [a-z_]+)*)*$/;

/** A code such as `given_back`, as a person would write it. */
export function outcomeWords(outcome: string): string {
  return CODES.test(outcome) ? outcome.replaceAll('_', ' ') : outcome;
}
