/** One user: the sessions that live, where they have logged in from, and what is trusted of them. */

import type { Hono } from 'hono';
import type { HistoryEntry, Trust } from '../../desk-ports.ts';
import type { LoginEntry } from '../../ports.ts';
import { requiredText } from '../inputs.ts';
import {
  type ConsoleEnv,
  type Ctx,
  page,
  refusal,
  requireFresh,
  requireRole,
  seeOther,
  Untrusted,
  userPath,
  withQuery,
} from '../kit.tsx';
import { IncidentTable } from './incident-table.tsx';
import { AddEntry, addEntry, Entries, removeEntry } from './list-parts.tsx';
import { CountryTimeline, HistoryTable } from './user-history.tsx';
import { UserSessions } from './user-sessions.tsx';
import { trustRoutes, UserTrust } from './user-trust.tsx';

const HISTORY_SHOWN = 200;
const INCIDENTS_SHOWN = 10;

type UserHandler = (c: Ctx, userId: string) => Promise<Response>;

export function userRoutes(app: Hono<ConsoleEnv>): void {
  app.get('/user', ofUser(show));
  app.post('/user/end', requireRole('admin'), requireFresh(), ofUser(end));
  app.post('/user/end-others', requireRole('admin'), requireFresh(), ofUser(endOthers));
  app.post('/user/end-all', requireRole('admin'), requireFresh(), ofUser(endAll));
  app.post(
    '/user/list',
    requireRole('analyst'),
    ofUser((c, id) => addEntry(c, 'user', id, userPath(id))),
  );
  app.post(
    '/user/unlist',
    requireRole('analyst'),
    ofUser((c, id) => removeEntry(c, userPath(id))),
  );
  trustRoutes(app, ofUser);
}

/** A user id is the app's own text: anything of 1 to 256 characters. */
function ofUser(then: UserHandler) {
  return async (c: Ctx): Promise<Response> => {
    const userId = c.req.query('id') ?? '';
    if (userId === '' || userId.length > 256) return refusal(c, 400, 'A user id has 1 to 256 characters.');
    return then(c, userId);
  };
}

interface Known {
  readonly sessions: readonly LoginEntry[];
  readonly history: readonly HistoryEntry[];
  readonly trust: Trust;
}

const show: UserHandler = async (c, userId) => {
  const { desk } = c.var;
  const [sessions, history, trust, { incidents, cursor }] = await Promise.all([
    desk.sessions(userId),
    desk.history(userId, HISTORY_SHOWN),
    desk.trust(userId),
    desk.incidents({ userId }, INCIDENTS_SHOWN, null),
  ]);
  const all = withQuery('/incidents', { user: userId, status: 'all' });
  return page(
    c,
    { title: `User ${userId}` },
    <>
      <h1>
        User <Untrusted text={userId} max={256} />
      </h1>
      <Person c={c} userId={userId} known={{ sessions, history, trust }} />
      <h2>Incidents</h2>
      {incidents.length === 0 ? (
        <p>None on record.</p>
      ) : (
        <IncidentTable c={c} label="Incidents" incidents={incidents} />
      )}
      {cursor === null ? null : (
        <p>
          <a href={c.var.base + all}>All incidents of this user</a>
        </p>
      )}
      <h2>What is held on this user</h2>
      <p>
        <a href={c.var.base + withQuery('/privacy', { user: userId })}>Show it, export it, or forget this user</a>
      </p>
    </>,
  );
};

function Person({ c, userId, known }: { c: Ctx; userId: string; known: Known }) {
  const { sessions, history, trust } = known;
  return (
    <>
      <h2>Live sessions</h2>
      <UserSessions c={c} userId={userId} sessions={sessions} />
      <h2>Where the logins came from</h2>
      <CountryTimeline history={history} />
      <HistoryTable c={c} history={history} />
      <h2>What is trusted</h2>
      <UserTrust c={c} userId={userId} known={known} />
      <h2>On the lists</h2>
      <Entries c={c} entries={trust.entries} action={withQuery('/user/unlist', { id: userId })} />
      <AddEntry c={c} action={withQuery('/user/list', { id: userId })} what="this user" kind="user" />
    </>
  );
}

const END_WORDS = {
  ended: 'The session is ended.',
  already_ended: 'That session had ended already.',
  unknown: 'There is no such session of this user.',
} as const;

const end: UserHandler = async (c, userId) => {
  const { form, desk, actor } = c.var;
  const outcome = await desk.endSession(userId, requiredText(form, 'lid', 64), requiredText(form, 'why'), actor);
  return seeOther(c, userPath(userId), END_WORDS[outcome]);
};

const endOthers: UserHandler = async (c, userId) => {
  const { form, desk, actor } = c.var;
  const result = await desk.endOthers(userId, requiredText(form, 'lid', 64), requiredText(form, 'why'), actor);
  return seeOther(c, userPath(userId), endedWords(result));
};

const endAll: UserHandler = async (c, userId) => {
  const { form, desk, actor } = c.var;
  return seeOther(c, userPath(userId), endedWords(await desk.endAll(userId, requiredText(form, 'why'), actor)));
};

function endedWords({ ended, failed }: { readonly ended: number; readonly failed: number }): string {
  const done = `${ended} ${ended === 1 ? 'session' : 'sessions'} ended.`;
  return failed === 0 ? done : `${done} ${failed} could not be ended, because Redis failed in between: do it again.`;
}
