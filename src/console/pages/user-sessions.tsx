/** The sessions of a user that live, and the forms that end them. */

import type { LoginEntry } from '../../ports.ts';
import { MAX_NOTE } from '../inputs.ts';
import { AddressLink, type Ctx, mayAct, PostForm, Scroll, Time, Untrusted, withQuery } from '../kit.tsx';
import { number } from '../words.ts';
import { FreshNote } from './answer-form.tsx';
import { Countries } from './incident-table.tsx';

/** A user may have thousands, by a mistake or by malice; the page must still open then. */
const SHOWN = 200;

interface Props {
  readonly c: Ctx;
  readonly userId: string;
  readonly sessions: readonly LoginEntry[];
}

export function UserSessions({ c, userId, sessions: all }: Props) {
  const sessions = all.length > SHOWN ? newest(all) : all;
  return (
    <>
      {sessions.length === all.length ? null : (
        <p>
          The newest {number(SHOWN)} of {number(all.length)} are shown; what is done to all is done to the others as
          well.
        </p>
      )}
      <SessionForms c={c} userId={userId} sessions={sessions} />
      {all.some(({ php }) => php) ? <PhpNote /> : null}
    </>
  );
}

/** What nobody here can see, and who ends it. */
function PhpNote() {
  return (
    <p>
      A PHP site keeps its sessions itself: one whose user has logged out there may stay on this list for a day. Its
      pages refuse a login from the moment that it is ended here; PHP’s own session is ended by a worker, and what it
      found is in the audit.
    </p>
  );
}

function newest(sessions: readonly LoginEntry[]): readonly LoginEntry[] {
  return [...sessions].sort((a, b) => a.loginAtMs - b.loginAtMs).slice(-SHOWN);
}

function SessionForms({ c, userId, sessions }: Props) {
  const isAdmin = mayAct(c.var.actor.role, 'admin');
  if (!isAdmin || !c.var.fresh) {
    return (
      <>
        <SessionTable c={c} sessions={sessions} pick={false} />
        {isAdmin ? <FreshNote c={c} /> : null}
      </>
    );
  }
  return (
    <>
      {sessions.length === 0 ? <SessionTable c={c} sessions={sessions} pick={false} /> : null}
      {sessions.length === 0 ? null : <EndPicked c={c} userId={userId} sessions={sessions} />}
      <EndAll c={c} userId={userId} />
    </>
  );
}

function EndPicked({ c, userId, sessions }: Props) {
  const others = c.var.base + withQuery('/user/end-others', { id: userId });
  return (
    <PostForm c={c} action={withQuery('/user/end', { id: userId })} needs="admin" fresh>
      <SessionTable c={c} sessions={sessions} pick />
      <div class="row">
        <div>
          <label for="end-why">Why</label>
          <input id="end-why" name="why" required maxlength={MAX_NOTE} autocomplete="off" />
        </div>
        <button type="submit" class="danger">
          End the picked one
        </button>
        <button type="submit" class="danger" formaction={others}>
          End all others than the picked one
        </button>
      </div>
    </PostForm>
  );
}

/** Also where none is shown: it keeps out a login that is just beginning. */
function EndAll({ c, userId }: { c: Ctx; userId: string }) {
  return (
    <details>
      <summary>End all sessions of this user</summary>
      <PostForm c={c} action={withQuery('/user/end-all', { id: userId })} needs="admin" fresh class="row">
        <div>
          <label for="end-all-why">Why</label>
          <input id="end-all-why" name="why" required maxlength={MAX_NOTE} autocomplete="off" />
        </div>
        <button type="submit" class="danger">
          End all
        </button>
      </PostForm>
    </details>
  );
}

function SessionTable({ c, sessions, pick }: { c: Ctx; sessions: readonly LoginEntry[]; pick: boolean }) {
  if (sessions.length === 0) return <p>No session lives.</p>;
  const titles = ['Signed in (UTC)', 'Ends at the latest', 'Address', 'Country', 'Device', 'Browser'];
  return (
    <Scroll label="Live sessions">
      <table class="striped">
        <thead>
          <tr>
            {pick ? <th scope="col">Pick</th> : null}
            {titles.map((title) => (
              <th scope="col">{title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sessions.map((session, i) => (
            <SessionRow c={c} session={session} pick={pick ? i + 1 : null} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** The login's id is a form's value and is not shown: it says nothing to a person, and is no session id. */
function SessionRow({ c, session, pick }: { c: Ctx; session: LoginEntry; pick: number | null }) {
  const { lid, loginAtMs, endsAtMs, address, countries, deviceId, userAgent, php } = session;
  return (
    <tr>
      {pick === null ? null : (
        <td>
          <input type="radio" name="lid" value={lid} required aria-label={`Pick session ${pick}`} />
        </td>
      )}
      <td>
        {loginAtMs === 0 ? 'unknown' : <Time ms={loginAtMs} />}
        {php ? ' (PHP site)' : null}
      </td>
      <td>
        <Time ms={endsAtMs} />
      </td>
      <td>
        <AddressLink c={c} address={address} />
      </td>
      <td>
        <Countries codes={countries} between=" or " />
      </td>
      <td>
        <Untrusted text={deviceId} max={60} code />
      </td>
      <td>
        <Untrusted text={userAgent} max={120} />
      </td>
    </tr>
  );
}
