/** What follows from an answer, one effect each. Every one bears a repeat, and says whether there was anything left to do. */

import type { Actor, Answered, AnswerRequest, Learned } from '../desk-ports.ts';
import { networkOfText } from '../domain/address.ts';
import { type AnswerEffect, type IncidentRecord, isAlike, wasReused } from '../domain/incident.ts';
import type { ListEntry } from '../domain/lists.ts';
import type { AuditEntry, LoginEntry, Revocation } from '../ports.ts';
import { about, note, type ReviewDeps } from '../review.ts';
import { teach, unlearn } from './baseline.ts';
import { giveBack } from './undo.ts';

/** What an effect adds to the answer's result. */
export interface Effect {
  /** Was there anything left to do? */
  readonly changed: boolean;
  readonly result: Partial<Omit<Answered, 'incident'>>;
}

export interface EffectContext {
  readonly incident: IncidentRecord;
  readonly request: AnswerRequest;
  readonly actor: Actor;
}

export const RUN: Readonly<Record<AnswerEffect, (deps: ReviewDeps, context: EffectContext) => Promise<Effect>>> = {
  end_login: endLogin,
  end_others: endOthers,
  block_address: blockAddress,
  close_alike: closeAlike,
  async unlearn(deps, { incident, actor: { by } }) {
    const learned = await unlearn(deps.baselines, incident);
    if (learned === null) return { changed: false, result: {} };
    await note(deps, [forgot(incident, by, `case ${incident.id} was no owner's`, learned)]);
    return { changed: true, result: {} };
  },
  async teach(deps, { incident }) {
    const taught = await teach(deps, incident);
    return { changed: taught, result: { taught } };
  },
  async give_back(deps, { incident, actor }) {
    const mark = await deps.logins.endMark(incident.lid);
    // Whoever asks for it where the session was reused has chosen that: it is not done unasked.
    const choice = { reuse: wasReused(incident) };
    const givenBack = await giveBack(deps, incident, `answered ${incident.status}`, actor, choice);
    const isLifted = givenBack === 'given_back' || givenBack === 'log_in_again';
    return { changed: mark !== null && isLifted, result: { givenBack } };
  },
};

/** For the audit: what was learned from a case, taken out again. */
export function forgot(
  incident: IncidentRecord,
  by: string,
  why: string,
  { countries, networks }: Learned,
): Omit<AuditEntry, 'atMs'> {
  return { what: 'forget_trust', by, why, ...about(incident), outcome: [...countries, ...networks].join(', ') };
}

/** Logins ended at the same time: a user with thousands must not stop everything else. */
const ABREAST = 100;

/** As many as of an act that ends a user's logins (session-admin). */
const NOTED_EACH = 20;

/** Under the incident's own reason and case: its holder meets the gotcha page, and undo can take it back. */
async function endLogin(deps: ReviewDeps, { incident, actor }: EffectContext): Promise<Effect> {
  const { lid, handle, reason, id: caseId } = incident;
  const lived = (await deps.logins.endMark(lid)) === null;
  const [result] = await deps.sessions.revoke([{ lid, handle, reason, caseId, atMs: deps.clock() }]);
  if (result === undefined || result instanceof Error) throw result ?? new Error('no reply');
  if (lived) await note(deps, [ended(incident, actor, lid)]);
  return { changed: lived, result: {} };
}

/** A person's order, so their holders are plain logged out: who is who in that network, nobody can say. */
async function endOthers(deps: ReviewDeps, { incident, actor }: EffectContext): Promise<Effect> {
  const network = networkOfText(incident.sighting.address);
  const live = await deps.registry.list(incident.userId, deps.clock());
  const others = live.filter(({ lid, address }) => lid !== incident.lid && networkOfText(address) === network);
  const gone: LoginEntry[] = [];
  for (let i = 0; i < others.length; i += ABREAST) {
    const some = others.slice(i, i + ABREAST);
    const results = await deps.sessions.revoke(some.map((one) => forced(deps, one)));
    gone.push(...some.filter((_, at) => !(results[at] instanceof Error)));
  }
  // Of more of them the answer's own entry says how many.
  const noted = gone.length > NOTED_EACH ? [] : gone;
  await note(
    deps,
    noted.map(({ lid }) => ended(incident, actor, lid)),
  );
  if (gone.length < others.length) throw new Error('some logins could not be ended');
  return { changed: gone.length > 0, result: { ended: gone.length } };
}

function forced({ caseOf, clock }: ReviewDeps, { lid, handle }: LoginEntry): Revocation {
  return { lid, handle, reason: 'forced_logout', caseId: caseOf(lid), atMs: clock() };
}

function ended(incident: IncidentRecord, { by }: Actor, lid: string): Omit<AuditEntry, 'atMs'> {
  return { what: 'end', by, why: `case ${incident.id} is confirmed`, ...about(incident), lid, outcome: 'ended' };
}

async function blockAddress(deps: ReviewDeps, { incident, request, actor }: EffectContext): Promise<Effect> {
  const { address } = incident.sighting;
  const { blockAddressForMs: forMs = null } = request;
  if (address === null) return { changed: false, result: {} };
  const nowMs = deps.clock();
  const expiresAtMs = forMs === null ? null : nowMs + forMs;
  const why = `case ${incident.id} is confirmed`;
  const standing = (await deps.lists.list(nowMs)).find((one) => isBlocked(one, address) && one.why === why);
  if (standing !== undefined) return { changed: false, result: { blocked: standing.id } };
  const wanted = { list: 'block', kind: 'address', value: address, by: actor.by, why, expiresAtMs } as const;
  const entry = await deps.lists.add(wanted, nowMs);
  const act = { what: 'list_add', by: actor.by, why, ...about(incident), outcome: `block address ${address}` } as const;
  await note(deps, [act]);
  return { changed: true, result: { blocked: entry.id } };
}

const isBlocked = ({ list, kind, value }: ListEntry, address: string): boolean =>
  list === 'block' && kind === 'address' && value === address;

const PAGE = 100;

async function closeAlike(deps: ReviewDeps, { incident, actor }: EffectContext): Promise<Effect> {
  const closed: string[] = [];
  let cursor: string | null = null;
  do {
    const page = await deps.incidents.list({ userId: incident.userId, status: 'open' }, PAGE, cursor);
    cursor = page.cursor;
    for (const other of page.incidents.filter((one) => isAlike(incident, one))) {
      if (await closeOne(deps, incident, other, actor)) closed.push(other.id);
    }
  } while (cursor !== null);
  return { changed: closed.length > 0, result: { closed } };
}

async function closeOne(
  deps: ReviewDeps,
  incident: IncidentRecord,
  other: IncidentRecord,
  { by }: Actor,
): Promise<boolean> {
  const atMs = deps.clock();
  const why = `the same country as ${incident.id}`;
  const entry = { atMs, what: 'answer', by, why, ...about(other), outcome: 'safe' } as const;
  const outcome = await deps.incidents.resolve(other.id, { disposition: 'safe', by, note: why, atMs, entry });
  // Somebody else was faster: their answer stays.
  if (outcome !== 'resolved') return false;
  void deps.notifier.tell({ event: 'incident.answered', caseId: other.id, atMs, disposition: 'safe', by });
  return true;
}
