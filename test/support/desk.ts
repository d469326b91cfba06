/**
 * A desk in memory, for tests of what pages show and ask for: it keeps the states (an incident is answered once, an entry
 * can be removed once) and writes down each act. What the acts do in Redis has tests of its own.
 */

import type {
  Actor,
  AnswerRequest,
  Desk,
  HistoryEntry,
  IncidentQuery,
  Learned,
  UndoOutcome,
} from '../../src/desk-ports.ts';
import { networkOfText } from '../../src/domain/address.ts';
import { emptyBaseline } from '../../src/domain/decide.ts';
import type { IncidentRecord } from '../../src/domain/incident.ts';
import { type ListEntry, namesUser } from '../../src/domain/lists.ts';
import type { Baseline } from '../../src/domain/types.ts';
import { BouncerError } from '../../src/errors.ts';
import type { AuditEntry, EndMark, LoginEntry } from '../../src/ports.ts';
import { EXPORT_TYPES, exportAudit, exportIncidents } from '../../src/review/exports.ts';

export interface MemoryDesk extends Desk {
  readonly cases: Map<string, IncidentRecord>;
  readonly live: Map<string, LoginEntry[]>;
  readonly past: Map<string, HistoryEntry[]>;
  readonly known: Map<string, Baseline>;
  readonly entries: ListEntry[];
  readonly noted: AuditEntry[];
  /** Each write, in order: its method and arguments. */
  readonly acts: { readonly what: string; readonly args: readonly unknown[]; readonly by: string }[];
  /** What `undo` says. */
  undoing: UndoOutcome;
  /** What stands of the logins, and what was learned of them. */
  end: EndMark | null;
  learnedThen: Learned | null;
}

const isSeenIn = (one: IncidentRecord, country: string) =>
  one.sighting.kind === 'located' && one.sighting.candidates.includes(country);

function matches(one: IncidentRecord, query: IncidentQuery): boolean {
  const network = one.sighting.kind === 'located' ? one.sighting.network : networkOfText(one.sighting.address);
  return (
    (query.status === undefined || one.status === query.status) &&
    (query.action === undefined || one.action === query.action) &&
    (query.reason === undefined || one.reason === query.reason) &&
    (query.country === undefined || isSeenIn(one, query.country)) &&
    (query.userId === undefined || one.userId === query.userId) &&
    (query.address === undefined || one.sighting.address === query.address) &&
    (query.network === undefined || network === query.network) &&
    (query.fromMs === undefined || one.decidedAtMs >= query.fromMs) &&
    (query.toMs === undefined || one.decidedAtMs < query.toMs)
  );
}

type State = Omit<MemoryDesk, keyof Desk>;

function newState(): State {
  return {
    cases: new Map(),
    live: new Map(),
    past: new Map(),
    known: new Map(),
    entries: [],
    noted: [],
    acts: [],
    undoing: 'given_back',
    end: null,
    learnedThen: null,
  };
}

export function memoryDesk(): MemoryDesk {
  const state = newState();
  const act = (what: string, actor: Actor, ...args: unknown[]) => state.acts.push({ what, args, by: actor.by });
  return Object.assign(state, reviewOf(state, act), usersOf(state, act), listsOf(state, act), restOf(state, act));
}

type Act = (what: string, actor: Actor, ...args: unknown[]) => number;

function newestFirst(state: State, query: IncidentQuery): IncidentRecord[] {
  return [...state.cases.values()].filter((one) => matches(one, query)).sort((a, b) => b.decidedAtMs - a.decidedAtMs);
}

const reviewList = (state: State) => ({
  list: async (query: IncidentQuery) => ({ incidents: newestFirst(state, query), cursor: null }),
});

type Review = 'incidents' | 'incident' | 'related' | 'answer' | 'undo' | 'reopen' | 'standingEnd' | 'learned';

function reviewOf(state: State, act: Act): Pick<Desk, Review> {
  return {
    async incidents(query, limit, cursor) {
      if (cursor !== null && !/^\d+$/.test(cursor)) throw new BouncerError('cursor_invalid', 'cursor: pass it on');
      const from = Number(cursor ?? 0);
      const all = newestFirst(state, query);
      const next = from + limit < all.length ? String(from + limit) : null;
      return { incidents: all.slice(from, from + limit), cursor: next };
    },
    incident: async (caseId) => state.cases.get(caseId) ?? null,
    async related(incident, limit) {
      const { sighting, userId, id } = incident;
      const like = (query: IncidentQuery) =>
        newestFirst(state, query)
          .filter((one) => one.id !== id)
          .slice(0, limit);
      return {
        user: like({ userId }),
        address: sighting.address === null ? [] : like({ address: sighting.address }),
        network: sighting.kind === 'located' ? like({ network: sighting.network }) : [],
      };
    },
    async answer(caseId, request, actor) {
      const before = state.cases.get(caseId);
      if (before === undefined) throw new BouncerError('incident_unknown', 'no incident has this case number');
      if (before.status !== 'open')
        throw new BouncerError('incident_closed', 'answered before; the first answer stays');
      const { disposition, note } = request;
      const incident = { ...before, status: disposition, note, resolvedBy: actor.by, resolvedAtMs: Date.now() };
      state.cases.set(caseId, incident);
      act('answer', actor, caseId, request);
      return { incident, ...effectsOf(request) };
    },
    async undo(caseId, why, actor, choice) {
      if (!state.cases.has(caseId)) throw new BouncerError('incident_unknown', 'no incident has this case number');
      act('undo', actor, caseId, why, choice);
      return state.undoing;
    },
    async reopen(caseId, why, actor, choice) {
      const was = state.cases.get(caseId);
      if (was?.status !== 'safe' && was?.status !== 'dismissed') throw new BouncerError('option_invalid', 'case: open');
      act('reopen', actor, caseId, why, choice);
      state.cases.set(caseId, { ...was, status: 'open' });
      return {
        was: was.status,
        learned: state.learnedThen,
        forgotten: choice?.forget === true && state.learnedThen !== null,
      };
    },
    standingEnd: async () => state.end,
    learned: async () => state.learnedThen,
  };
}

function effectsOf({ disposition, giveBack = true, blockAddressForMs }: AnswerRequest) {
  const isSafe = disposition === 'safe';
  return {
    taught: isSafe,
    closed: [],
    ended: 0,
    givenBack: isSafe && giveBack ? ('given_back' as const) : null,
    blocked: blockAddressForMs === undefined ? null : 'entry-blocked',
  };
}

type Users =
  | 'sessions'
  | 'endSession'
  | 'endOthers'
  | 'endAll'
  | 'history'
  | 'trust'
  | 'trustCountry'
  | 'forgetCountry'
  | 'trustNetwork'
  | 'forgetNetwork';

function usersOf(state: State, act: Act): Pick<Desk, Users> {
  const ofUser = (userId: string) => state.live.get(userId) ?? [];
  return {
    sessions: async (userId) => ofUser(userId),
    async endSession(userId, lid, why, actor) {
      const found = ofUser(userId).some((one) => one.lid === lid);
      state.live.set(
        userId,
        ofUser(userId).filter((one) => one.lid !== lid),
      );
      if (found) act('endSession', actor, userId, lid, why);
      return found ? 'ended' : 'unknown';
    },
    async endOthers(userId, keepLid, why, actor) {
      const before = ofUser(userId);
      state.live.set(
        userId,
        before.filter((one) => one.lid === keepLid),
      );
      act('endOthers', actor, userId, keepLid, why);
      return { ended: before.length - ofUser(userId).length, failed: 0 };
    },
    async endAll(userId, why, actor) {
      const ended = ofUser(userId).length;
      state.live.delete(userId);
      act('endAll', actor, userId, why);
      return { ended, failed: 0 };
    },
    history: async (userId, limit) => (state.past.get(userId) ?? []).slice(0, limit),
    trust: async (userId) => ({
      baseline: state.known.get(userId) ?? emptyBaseline,
      entries: state.entries.filter((entry) => namesUser(entry, userId)),
    }),
    trustCountry: async (...[userId, country, why, actor]) => void act('trustCountry', actor, userId, country, why),
    async forgetCountry(...[userId, country, why, actor]) {
      act('forgetCountry', actor, userId, country, why);
      return { countries: [country], networks: [] };
    },
    trustNetwork: async (...[userId, network, why, actor]) => void act('trustNetwork', actor, userId, network, why),
    forgetNetwork: async (...[userId, network, why, actor]) => act('forgetNetwork', actor, userId, network, why) > 0,
  };
}

function listsOf(state: State, act: Act): Pick<Desk, 'lists' | 'addToList' | 'removeFromList'> {
  return {
    lists: async () => state.entries,
    async addToList(entry, actor) {
      const added = { ...entry, by: actor.by, id: `entry-${state.entries.length + 1}`, createdAtMs: Date.now() };
      state.entries.push(added);
      act('addToList', actor, entry);
      return added;
    },
    async removeFromList(id, why, actor) {
      const at = state.entries.findIndex((one) => one.id === id);
      if (at < 0) return null;
      act('removeFromList', actor, id, why);
      return state.entries.splice(at, 1)[0] ?? null;
    },
  };
}

const pagesOf = (entries: readonly AuditEntry[]) => ({
  async *pages() {
    if (entries.length > 0) yield entries;
  },
});

type Rest = Exclude<keyof Desk, Users | Review | keyof ReturnType<typeof listsOf>>;

function restOf(state: State, act: Act): Pick<Desk, Rest> {
  return {
    overview: async () => ({
      countries: [],
      series: [],
      queues: [],
      workers: [],
      brake: { kind: 'enforcing' },
      openIncidents: newestFirst(state, { status: 'open' }).length,
      totals: {},
      wouldHaveEnded: null,
      deadLetters: 0,
      lastTrip: null,
    }),
    brake: async () => ({ kind: 'enforcing' }),
    async resetBrake(why, actor) {
      act('resetBrake', actor, why);
      return { kind: 'enforcing' };
    },
    audit: async (limit) => state.noted.slice(0, limit),
    actsOn: async (id) => state.noted.filter(({ caseId }) => caseId === id),
    note: async (entry) => void state.noted.unshift({ ...entry, atMs: Date.now() }),
    deadLetters: async () => [],
    retryDeadLetter: async (id, actor) => act('retryDeadLetter', actor, id) < 0,
    exportIncidents: (query, format) => ({
      type: EXPORT_TYPES[format],
      pieces: exportIncidents({ incidents: reviewList(state) }, query, format),
    }),
    exportAudit: (format) => ({ type: EXPORT_TYPES[format], pieces: exportAudit(pagesOf(state.noted), format) }),
    holdings: async (userId) => ({
      userId,
      atMs: Date.now(),
      baseline: state.known.get(userId) ?? emptyBaseline,
      sessions: state.live.get(userId) ?? [],
      history: state.past.get(userId) ?? [],
      incidents: newestFirst(state, { userId }),
      audit: [],
      lists: [],
    }),
    async forget(userId, why, actor) {
      act('forget', actor, userId, why);
      return { counts: {}, pseudonym: 'forgotten' };
    },
  };
}
