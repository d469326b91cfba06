/** What stands of one incident, and how a person takes it back: the end of its login, and an answer that was wrong. */

import type { Learned, UndoChoice } from '../../desk-ports.ts';
import { type IncidentRecord, isAtPhp, isForgotten, mayHaveEnded, wasReused } from '../../domain/incident.ts';
import type { Reason } from '../../domain/reasons.ts';
import type { EndMark, EndReason } from '../../ports.ts';
import { MAX_NOTE } from '../inputs.ts';
import { type Ctx, incidentPath, PostForm, ReasonText, Time } from '../kit.tsx';
import { countryList } from '../places.ts';

/** Which end the login has, and by which case: it may be another one than the page is about. */
export function Standing({ c, incident, end }: { c: Ctx; incident: IncidentRecord; end: EndMark | null }) {
  const { endedAgain } = incident;
  return (
    <>
      {endedAgain === undefined ? null : (
        <p>
          Given back before, this login ended again at <Time ms={endedAgain.atMs} precise />:{' '}
          <ReasonText reason={endedAgain.reason} brief />. The case was {endedAgain.was} then.
        </p>
      )}
      {end === null && isKnownToStandNoMore(incident) ? (
        <p>
          No end of this login stands any more
          {isAtPhp(incident)
            ? '. A PHP site’s session that was ended cannot be given back: the user must log in again.'
            : ': it was given back, or its time is over.'}
        </p>
      ) : null}
      {end === null ? null : (
        <p>
          This login has ended, at <Time ms={end.atMs} precise />: <EndWords end={end} />
          {isOwn(incident, end) ? ', by this case.' : <OtherCase c={c} end={end} />}
        </p>
      )}
    </>
  );
}

/** Of a forgotten user's login nobody can find the end; and an answer that is not done may not have ended it yet. */
function isKnownToStandNoMore(incident: IncidentRecord): boolean {
  return mayHaveEnded(incident) && !isForgotten(incident) && incident.pending === undefined;
}

/** Ends that have no incident. */
const OF_NO_CASE: Readonly<Partial<Record<string, string>>> = {
  forced_logout: 'a person ended it',
  logout: 'its user logged out',
};

function EndWords({ end: { reason } }: { end: EndMark }) {
  const words = OF_NO_CASE[reason];
  return words === undefined ? <ReasonText reason={reason as Reason} brief /> : words;
}

function OtherCase({ c, end: { reason, caseId } }: { c: Ctx; end: EndMark }) {
  if (reason === 'forced_logout' || reason === 'logout') return <>.</>;
  return (
    <>
      , by <a href={c.var.base + incidentPath(caseId)}>case {caseId}</a>.
    </>
  );
}

const isOfCase = (reason: EndReason): boolean => OF_NO_CASE[reason] === undefined;

const isOwn = ({ id }: IncidentRecord, { caseId, reason }: EndMark) => caseId === id && isOfCase(reason);

const PHP_LIFTED =
  'its holder is not bounced any more. A PHP site’s session cannot be given back: the user must log in again.';

export function UndoForm({ c, incident, end }: { c: Ctx; incident: IncidentRecord; end: EndMark | null }) {
  // What stands counts, whatever is on record: an answer that ended it may have been taken off since.
  const isStanding = end !== null && isOwn(incident, end);
  if (!(isStanding || mayHaveEnded(incident)) || isForgotten(incident)) return null;
  if (end !== null && !isStanding) return <p>What this case ended is not given back: another end stands.</p>;
  const isPhp = isAtPhp(incident);
  const name = isPhp ? 'Lift the end of this login' : 'Give the session back';
  return (
    <details>
      <summary>{name}</summary>
      <p>
        Lifts the end of this login, whatever was answered:{' '}
        {isPhp ? PHP_LIFTED : 'within the session’s life the same browser is signed in again.'}
      </p>
      <PostForm c={c} action={`${incidentPath(incident.id)}/undo`} needs="analyst" fresh>
        {wasReused(incident) ? <ReuseChoice /> : null}
        {end === null ? null : <input type="hidden" name="endedAtMs" value={String(end.atMs)} />}
        <label for="undo-why">Why</label>
        <input id="undo-why" name="why" required maxlength={MAX_NOTE} autocomplete="off" />
        <button type="submit">{name}</button>
      </PostForm>
    </details>
  );
}

function ReuseChoice() {
  return (
    <label>
      <input type="checkbox" name="reuse" value="yes" required />
      Two browsers held this session, and nobody here can tell the owner’s from the other. I know that both were the
      owner’s: whichever has it gets it back.
    </label>
  );
}

/** What the form above chose: only the end that its page showed. */
export function readUndo({ var: { form } }: Ctx): UndoChoice {
  const endedAtMs = Number(form.get('endedAtMs') ?? '');
  const reuse = form.get('reuse') === 'yes';
  return Number.isSafeInteger(endedAtMs) && endedAtMs > 0 ? { reuse, endedAtMs } : { reuse };
}

/** For `safe` and `dismissed`: a wrong `confirmed` is taken back with the session. */
export function ReopenForm({ c, incident, learned }: { c: Ctx; incident: IncidentRecord; learned: Learned | null }) {
  const { id, status } = incident;
  if (isForgotten(incident)) return <p>Its user was forgotten: it stays as it is.</p>;
  if (status !== 'safe' && status !== 'dismissed') return null;
  return (
    <details>
      <summary>Was this answer wrong? Open the case again</summary>
      <p>
        Takes the answer off, so that it can be answered anew. A session that was given back lives on until somebody
        answers confirmed, and cases that were closed with this one stay closed.
      </p>
      <PostForm c={c} action={`${incidentPath(id)}/reopen`} needs="analyst">
        {learned === null ? null : (
          <label>
            <input type="checkbox" name="forget" value="yes" checked />
            forget what this user’s baseline learned here: {learnedWords(learned)}
          </label>
        )}
        <label for="reopen-why">Why</label>
        <input id="reopen-why" name="why" required maxlength={MAX_NOTE} autocomplete="off" />
        <button type="submit">Open it again</button>
      </PostForm>
    </details>
  );
}

export function learnedWords({ countries, networks }: Learned): string {
  return [...(countries.length === 0 ? [] : [countryList(countries)]), ...networks].join(', ');
}
