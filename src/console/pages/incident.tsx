/** One incident, on one screen: why, what came of it, and the answer. */

import type { Hono } from 'hono';
import type { Answered, AnswerRequest, UndoOutcome } from '../../desk-ports.ts';
import { isCaseNumber } from '../../domain/case-number.ts';
import type { IncidentRecord } from '../../domain/incident.ts';
import type { ListEntry } from '../../domain/lists.ts';
import { phpWords } from '../../domain/php-words.ts';
import { BouncerError } from '../../errors.ts';
import type { AuditEntry } from '../../ports.ts';
import { ACTS, outcomeWords } from '../act-words.ts';
import { duration, MAX_NOTE, oneOf, optionalText, requiredText } from '../inputs.ts';
import {
  type ConsoleEnv,
  type Ctx,
  DoneBadge,
  incidentPath,
  page,
  ReasonText,
  refusal,
  requireFresh,
  requireRole,
  StatusBadge,
  seeOther,
  Time,
  Untrusted,
  UserLink,
} from '../kit.tsx';
import { renderDocument } from '../layout.tsx';
import { headline, meaningOf } from '../words.ts';
import { ANSWERS, AnswerForm, isAnswerable, needsFresh } from './answer-form.tsx';
import { EvidenceTable } from './evidence.tsx';
import { learnedWords, ReopenForm, readUndo, Standing, UndoForm } from './incident-ends.tsx';
import { Pending } from './incident-pending.tsx';
import { Facts, Sides } from './incident-sides.tsx';
import { Timeline, Visits } from './incident-story.tsx';
import { IncidentTable } from './incident-table.tsx';

const RELATED = 10;

/** With a hyphen, as case numbers have: other pages may lie below `/incidents` too. */
const CASE = '/incidents/:caseId{[0-9A-Za-z]+-[0-9A-Za-z-]+}';

export function incidentRoutes(app: Hono<ConsoleEnv>): void {
  app.get(CASE, show);
  app.post(`${CASE}/answer`, requireRole('analyst'), answer);
  app.post(`${CASE}/undo`, requireRole('analyst'), requireFresh(), undo);
  app.post(`${CASE}/reopen`, requireRole('analyst'), reopen);
}

async function find(c: Ctx): Promise<IncidentRecord | null> {
  const caseId = (c.req.param('caseId') ?? '').toUpperCase();
  return isCaseNumber(caseId) ? c.var.desk.incident(caseId) : null;
}

const notThere = (c: Ctx) => refusal(c, 404, 'No incident has this case number. It looks like K7QX-2M9F-4T8A.');

async function show(c: Ctx): Promise<Response> {
  const incident = await find(c);
  if (incident === null) return notThere(c);
  const { desk } = c.var;
  const [related, acts, entry, end, learned] = await Promise.all([
    desk.related(incident, RELATED),
    desk.actsOn(incident.id),
    listEntryOf(c, incident),
    desk.standingEnd(incident),
    incident.status === 'safe' ? desk.learned(incident) : null,
  ]);
  return page(
    c,
    { title: `Case ${incident.id}`, active: 'incidents' },
    <>
      <Why c={c} incident={incident} entry={entry} />
      <Standing c={c} incident={incident} end={end} />
      <Sides c={c} incident={incident} />
      <section id="answer">
        <h2>{isAnswerable(incident) ? 'Your answer' : 'Answered'}</h2>
        <Answer c={c} incident={incident} />
        <UndoForm c={c} incident={incident} end={end} />
        <ReopenForm c={c} incident={incident} learned={learned} />
      </section>
      <h2>Evidence</h2>
      <EvidenceTable c={c} incident={incident} />
      <h2>Timeline</h2>
      <Timeline incident={incident} />
      <h2>What the holder tried after</h2>
      <Visits c={c} incident={incident} />
      <Related c={c} related={related} />
      <Acts acts={acts} />
    </>,
  );
}

/** The entry that decided; null where none did, or it is gone by now. */
async function listEntryOf(c: Ctx, { listEntryId }: IncidentRecord): Promise<ListEntry | null> {
  if (listEntryId === undefined) return null;
  return (await c.var.desk.lists()).find(({ id }) => id === listEntryId) ?? null;
}

function Why({ c, incident, entry }: { c: Ctx; incident: IncidentRecord; entry: ListEntry | null }) {
  const { id, status, userId, reason, mode, brake, userWord, php } = incident;
  return (
    <>
      <h1>
        Case <span class="code">{id}</span>
      </h1>
      <p>
        <StatusBadge status={status} /> <DoneBadge incident={incident} /> User{' '}
        <UserLink c={c} userId={userId} max={256} />
      </p>
      <p>
        <strong>{headline(incident)}</strong>
      </p>
      <p>
        Reason: <ReasonText reason={reason} brief /> <small>({meaningOf(reason)})</small>
        {mode === 'observe' && !brake
          ? ' The worker was observing: it records what it would do, and ends nothing.'
          : ''}
      </p>
      {php === undefined ? null : <p>PHP session: {phpWords(php)}.</p>}
      {entry === null ? null : (
        <p>
          The entry: {entry.list} {entry.kind.replaceAll('_', ' ')} <Untrusted text={entry.value} max={300} code />, by{' '}
          <Untrusted text={entry.by} max={128} />: <Untrusted text={entry.why} max={500} />
        </p>
      )}
      {userWord === undefined ? null : (
        <p>
          Asked “Was this you?”, the user said <strong>{userWord.said}</strong> at <Time ms={userWord.atMs} />.
        </p>
      )}
    </>
  );
}

function Answer({ c, incident }: { c: Ctx; incident: IncidentRecord }) {
  return (
    <>
      {incident.status === 'open' ? null : <AnswerFacts incident={incident} />}
      <Pending c={c} incident={incident} />
      {isAnswerable(incident) ? <AnswerForm c={c} incident={incident} /> : null}
      {mayComplete(c, incident) ? (
        <details>
          <summary>Was something left undone? Give the same answer again</summary>
          <p>It completes what failed half way, and changes nothing else.</p>
          <AnswerForm c={c} incident={incident} />
        </details>
      ) : null}
    </>
  );
}

/** Whoever answered may say the same once more, where an effect of it could not be done. */
function mayComplete(c: Ctx, incident: IncidentRecord): boolean {
  return !isAnswerable(incident) && incident.resolvedBy === c.var.actor.by && incident.status !== 'dismissed';
}

/** Who answered and what. */
function AnswerFacts({ incident: { status, resolvedBy, resolvedAtMs, note } }: { incident: IncidentRecord }) {
  return (
    <Facts
      rows={[
        ['Answer', <StatusBadge status={status} />],
        ['By', <Untrusted text={resolvedBy} max={128} />],
        ['At', <Time ms={resolvedAtMs} />],
        ['Note', note ? <Untrusted text={note} max={MAX_NOTE} /> : 'none'],
      ]}
    />
  );
}

const RELATIONS = [
  ['user', 'Other incidents of this user'],
  ['address', 'Other incidents of this address'],
  ['network', 'Other incidents of this network'],
] as const;

function Related({
  c,
  related,
}: {
  c: Ctx;
  related: Readonly<Record<'user' | 'address' | 'network', readonly IncidentRecord[]>>;
}) {
  return (
    <>
      {RELATIONS.map(([key, title]) => (
        <>
          <h2>{title}</h2>
          {related[key].length === 0 ? <p>None.</p> : <IncidentTable c={c} label={title} incidents={related[key]} />}
        </>
      ))}
    </>
  );
}

function Acts({ acts }: { acts: readonly AuditEntry[] }) {
  if (acts.length === 0) return null;
  return (
    <>
      <h2>Acts on this case</h2>
      <ul>
        {acts.map(({ atMs, what, by, why, outcome }) => (
          <li>
            <Time ms={atMs} />: <Untrusted text={by} max={128} /> {ACTS[what] ?? <Untrusted text={what} max={40} />} (
            <Untrusted text={outcomeWords(outcome)} max={80} />){why === '' ? '' : ': '}
            {why === '' ? '' : <Untrusted text={why} max={MAX_NOTE} />}
          </li>
        ))}
      </ul>
    </>
  );
}

async function answer(c: Ctx): Promise<Response> {
  const incident = await find(c);
  if (incident === null) return notThere(c);
  const request = readAnswer(c);
  if (needsFresh(request) && !c.var.fresh) return refusal(c, 403, 'This answer needs your password again.');
  try {
    const done = await c.var.desk.answer(incident.id, request, c.var.actor);
    return seeOther(c, incidentPath(incident.id), answeredWords(done));
  } catch (error) {
    if (!(error instanceof BouncerError)) throw error;
    // Answered, and part of what follows failed: the message says which, and that the same answer completes it.
    if (error.code === 'answer_incomplete') return seeOther(c, incidentPath(incident.id), error.message);
    if (error.code !== 'incident_closed') throw error;
    return tooLate(c, (await c.var.desk.incident(incident.id)) ?? incident);
  }
}

function readAnswer(c: Ctx): AnswerRequest {
  const { form } = c.var;
  const disposition = oneOf(form, 'disposition', ANSWERS);
  const note = optionalText(form, 'note');
  if (disposition === 'safe') return { disposition, note, giveBack: form.get('giveBack') === 'yes' };
  if (disposition === 'dismissed' || (form.get('block') ?? '') === '') return { disposition, note };
  return { disposition, note, blockAddressForMs: duration(form, 'block') };
}

/** Of two analysts the second is told who was first; nothing of theirs was done. */
function tooLate(c: Ctx, incident: IncidentRecord): Promise<Response> {
  return renderDocument(
    c,
    { title: 'Answered before', active: 'incidents', status: 409, brake: null },
    <>
      <h1>Somebody answered this before you</h1>
      <p role="alert">The first answer stays, and nothing of yours was done.</p>
      <AnswerFacts incident={incident} />
      <p>
        <a href={c.var.base + incidentPath(incident.id)}>Back to case {incident.id}</a>
      </p>
    </>,
  );
}

async function undo(c: Ctx): Promise<Response> {
  const incident = await find(c);
  if (incident === null) return notThere(c);
  const why = requiredText(c.var.form, 'why');
  const outcome = await c.var.desk.undo(incident.id, why, c.var.actor, readUndo(c));
  return seeOther(c, incidentPath(incident.id), UNDONE[outcome]);
}

async function reopen(c: Ctx): Promise<Response> {
  const incident = await find(c);
  if (incident === null) return notThere(c);
  const forget = c.var.form.get('forget') === 'yes';
  const done = await c.var.desk.reopen(incident.id, requiredText(c.var.form, 'why'), c.var.actor, { forget });
  const { learned, forgotten } = done;
  const place =
    learned === null ? '' : ` ${forgotten ? 'Forgotten' : 'Still known of the user'}: ${learnedWords(learned)}.`;
  return seeOther(c, incidentPath(incident.id), `The case is open again.${place}`);
}

const UNDONE: Readonly<Record<UndoOutcome, string>> = {
  given_back: 'The session lives again: its browser is signed in with the next request.',
  expired: 'The session was not given back: it would have ended by now. The user can sign in anew.',
  not_ended: 'There was nothing to give back: no session was ended.',
  gone: 'The session was not given back: nothing is left of it. The user can sign in anew.',
  log_in_again:
    'The end of this login is lifted: its holder is not bounced any more. But what PHP kept of it cannot be given back: the user must log in again.',
  blocked: 'The session was not given back: another end of this login stands.',
};

export function answeredWords({ incident, taught, closed, ended, givenBack, blocked }: Answered): string {
  return [
    `Answered: ${incident.status}.`,
    taught ? 'The place of this login was learned.' : '',
    closed.length === 0 ? '' : `${closed.length} more of the same kind closed.`,
    ended === 0 ? '' : `${ended} other ${ended === 1 ? 'session' : 'sessions'} of this user ended.`,
    givenBack === null ? '' : UNDONE[givenBack],
    blocked === null ? '' : 'The address is on the block list.',
  ]
    .filter((part) => part !== '')
    .join(' ');
}
