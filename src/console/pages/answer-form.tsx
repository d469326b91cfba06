/** The three answers of a reviewer: what each does, and the form for one incident. */

import type { AnswerRequest } from '../../desk-ports.ts';
import { type IncidentRecord, isAtPhp, mayOverrule, wasReused } from '../../domain/incident.ts';
import { DURATIONS, MAX_NOTE } from '../inputs.ts';
import { type Ctx, incidentPath, mayAct, PostForm } from '../kit.tsx';

export const ANSWERS = ['confirmed', 'safe', 'dismissed'] as const;

/** What ends or revives sessions asks for a recent proof of identity. */
export function needsFresh({ disposition, giveBack }: AnswerRequest): boolean {
  return disposition === 'confirmed' || (disposition === 'safe' && giveBack !== false);
}

/** An answer of the registry worker, or of whoever held the user's link, is no reviewer's: anybody may still answer. */
export function isAnswerable({ status, resolvedBy }: IncidentRecord): boolean {
  return status === 'open' || mayOverrule(resolvedBy, '');
}

const HINTS: Readonly<Record<(typeof ANSWERS)[number], string>> = {
  confirmed:
    'It was not the user. This login stays dead (or is ended now), and the user’s other sessions from that network are ended.',
  safe: 'It was the user. This place is learned, open incidents alike are closed, and the session can be given back.',
  dismissed: 'Neither can be said. Only closes the incident; nothing is learned and nothing ends.',
};

export function AnswerHint() {
  return (
    <dl class="facts">
      {ANSWERS.map((answer) => (
        <>
          <dt>{answer}</dt>
          <dd>{HINTS[answer]}</dd>
        </>
      ))}
    </dl>
  );
}

/** Where an act will ask for the password, say so before somebody has typed a note. */
export function FreshNote({ c }: { c: Ctx }) {
  const { deps, base, fresh } = c.var;
  if (fresh) return null;
  const { pathname, search } = new URL(c.req.url);
  return (
    <p>
      Ending a session or giving one back needs your password again:{' '}
      {deps.reauthenticate === undefined ? (
        'sign in to this site again'
      ) : (
        <a href={deps.reauthenticate(base + pathname + search)}>confirm it is you</a>
      )}
    </p>
  );
}

const GIVE_BACK = 'with safe: give the session back, so that the same browser is signed in again';
const PHP_GIVE_BACK =
  'with safe: lift the end of this login. A PHP site’s session cannot be given back: the user must log in again';

export function AnswerForm({ c, incident }: { c: Ctx; incident: IncidentRecord }) {
  if (!mayAct(c.var.actor.role, 'analyst')) return <p>Your role may read this, not answer it.</p>;
  return (
    <>
      <FreshNote c={c} />
      <PostForm c={c} action={`${incidentPath(incident.id)}/answer`}>
        <fieldset>
          <legend>What was it?</legend>
          {ANSWERS.map((answer) => (
            <label>
              <input type="radio" name="disposition" value={answer} required />
              <strong>{answer}</strong> <small>{HINTS[answer]}</small>
            </label>
          ))}
        </fieldset>
        <label>
          <input type="checkbox" name="giveBack" value="yes" checked={!wasReused(incident)} />
          {isAtPhp(incident) ? PHP_GIVE_BACK : GIVE_BACK}
          {wasReused(incident) ? ' (two browsers held it: only if both were the owner’s)' : ''}
        </label>
        {incident.sighting.address === null ? null : <BlockChoice />}
        <label for="answer-note">Note</label>
        <textarea id="answer-note" name="note" maxlength={MAX_NOTE} rows={3}></textarea>
        <button type="submit">Answer</button>
      </PostForm>
    </>
  );
}

function BlockChoice() {
  return (
    <>
      <label for="answer-block">With confirmed: block the address</label>
      <select id="answer-block" name="block">
        <option value="">no</option>
        {DURATIONS.map(([value, text]) => (
          <option value={value}>{value === 'forever' ? text : `for ${text}`}</option>
        ))}
      </select>
    </>
  );
}
