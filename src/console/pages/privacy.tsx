/** "Show what you hold on this user" and "forget this user". */

import type { Hono } from 'hono';
import type { Holdings } from '../../desk-ports.ts';
import { safeJson } from '../../domain/hostile-text.ts';
import { MAX_NOTE, optionalText, requiredText } from '../inputs.ts';
import {
  type ConsoleEnv,
  type Ctx,
  mayAct,
  PostForm,
  page,
  plain,
  refusal,
  requireFresh,
  requireRole,
  Untrusted,
  UserLink,
  withQuery,
} from '../kit.tsx';
import { number } from '../words.ts';
import { stamp } from './exports.tsx';

const MAX_USER = 256;
/** On the page; the file has all of it. */
const SHOWN = 100_000;

type UserHandler = (c: Ctx, userId: string) => Promise<Response>;

export function privacyRoutes(app: Hono<ConsoleEnv>): void {
  app.get('/privacy', show);
  app.post('/privacy/holdings', requireRole('analyst'), requireFresh(), ofUser(holdings));
  app.post('/privacy/forget', requireRole('admin'), requireFresh(), ofUser(forget));
}

const userOf = (c: Ctx) => c.req.query('user') ?? '';

function ofUser(then: UserHandler) {
  return async (c: Ctx): Promise<Response> => {
    const userId = userOf(c);
    if (userId === '' || userId.length > MAX_USER) return refusal(c, 400, 'A user id has 1 to 256 characters.');
    return then(c, userId);
  };
}

async function show(c: Ctx): Promise<Response> {
  const userId = userOf(c);
  const known = userId !== '' && userId.length <= MAX_USER;
  return page(
    c,
    { title: 'Privacy', active: 'privacy' },
    <>
      <h1>What is held on a user</h1>
      <FindUser c={c} userId={userId} />
      {userId.length > MAX_USER ? <p role="alert">A user id has 1 to 256 characters.</p> : null}
      {known ? <Requests c={c} userId={userId} /> : <p>Give the application's own id of the user.</p>}
    </>,
  );
}

function FindUser({ c, userId }: { c: Ctx; userId: string }) {
  return (
    <search>
      <form method="get" action={`${c.var.base}/privacy`} class="row">
        <div>
          <label for="privacy-user">User</label>
          <input id="privacy-user" name="user" required maxlength={MAX_USER} value={canBeTyped(userId) ? userId : ''} />
        </div>
        <button type="submit" class="outline">
          Choose
        </button>
      </form>
    </search>
  );
}

function Requests({ c, userId }: { c: Ctx; userId: string }) {
  return (
    <>
      <p>
        User <UserLink c={c} userId={userId} max={MAX_USER} />
      </p>
      <h2>Show what is held</h2>
      <Show c={c} userId={userId} />
      <h2>Forget this user</h2>
      <p>
        This ends all sessions of the user and erases what is only of them: what is trusted, the history of logins,
        entries of the lists, logins that wait in the queue. Incidents and the audit stay, with a pseudonym in the place
        of the name and without places, devices and what people wrote. It cannot be taken back.
      </p>
      <Forget c={c} userId={userId} />
    </>
  );
}

function Show({ c, userId }: { c: Ctx; userId: string }) {
  if (!mayAct(c.var.actor.role, 'analyst')) return <p>This needs the role analyst.</p>;
  return (
    <PostForm c={c} action={withQuery('/privacy/holdings', { user: userId })} needs="analyst" fresh class="download">
      <div class="row">
        <div>
          <label for="hold-why">Why (e.g. the number of the request)</label>
          <input id="hold-why" name="why" maxlength={MAX_NOTE} autocomplete="off" />
        </div>
        <button type="submit" name="as" value="page" class="outline">
          Show
        </button>
        <button type="submit" name="as" value="file">
          Download as JSON
        </button>
      </div>
      <small>That you asked is noted in the audit. It holds no session id.</small>
    </PostForm>
  );
}

function Forget({ c, userId }: { c: Ctx; userId: string }) {
  if (!mayAct(c.var.actor.role, 'admin')) return <p>This needs the role admin.</p>;
  const word = confirmationOf(userId);
  return (
    <PostForm c={c} action={withQuery('/privacy/forget', { user: userId })} needs="admin" fresh>
      <div class="row">
        <div>
          <label for="forget-why">Why</label>
          <input id="forget-why" name="why" required maxlength={MAX_NOTE} autocomplete="off" />
        </div>
        <div>
          <label for="forget-confirm">
            Type <Untrusted text={word} max={MAX_USER} code /> to confirm
          </label>
          <input
            id="forget-confirm"
            name="confirm"
            required
            maxlength={MAX_USER}
            autocomplete="off"
            autocapitalize="off"
          />
        </div>
        <button type="submit" class="danger">
          Forget this user
        </button>
      </div>
    </PostForm>
  );
}

/** The user's id; where nobody could type that, two words. */
function confirmationOf(userId: string): string {
  return canBeTyped(userId) && !ODD_BLANKS.test(userId) ? userId : 'forget user';
}

/** Two blanks are shown as one, and some others look like one. */
const ODD_BLANKS = /\s{2}|[^\S ]/u;

function canBeTyped(userId: string): boolean {
  return userId === userId.trim() && plain(userId, MAX_USER) === userId;
}

const holdings: UserHandler = async (c, userId) => {
  const { desk, actor, form, nowMs } = c.var;
  const why = optionalText(form, 'why');
  const held = await desk.holdings(userId);
  const asPage = form.get('as') === 'page';
  await desk.note({ what: 'hold', by: actor.by, why, userId, lid: null, outcome: asPage ? 'shown' : 'json' });
  if (asPage) return page(c, { title: 'What is held', active: 'privacy' }, <Held c={c} held={held} />);
  return c.body(`${safeJson(held, 2)}\n`, 200, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Disposition': `attachment; filename="held-${stamp(nowMs)}.json"`,
  });
};

function Held({ c, held }: { c: Ctx; held: Holdings }) {
  const { userId, baseline, sessions, history, incidents, audit, lists } = held;
  const places = baseline.v4.places.length + baseline.v6.places.length;
  const text = safeJson(held, 2);
  const parts = { 'places trusted': places, sessions, 'logins in the history': history, incidents, audit, lists };
  return (
    <>
      <h1>
        What is held on <UserLink c={c} userId={userId} max={MAX_USER} />
      </h1>
      <Counts
        counts={Object.entries(parts).map(([what, of]) => [what, typeof of === 'number' ? of : of.length] as const)}
      />
      {text.length > SHOWN ? <p>The first {number(SHOWN)} characters; the file has all of it.</p> : null}
      {/* A part that can be scrolled must be in reach of the keyboard. */}
      <section class="scroll" aria-label="What is held, as JSON" tabindex={0}>
        <pre class="held">{text.slice(0, SHOWN)}</pre>
      </section>
      <Back c={c} userId={userId} />
    </>
  );
}

function Counts({ counts }: { counts: readonly (readonly [what: string, count: number])[] }) {
  return (
    <dl class="facts">
      {counts.map(([what, count]) => (
        <>
          <dt>{what}</dt>
          <dd>{number(count)}</dd>
        </>
      ))}
    </dl>
  );
}

function Back({ c, userId }: { c: Ctx; userId: string }) {
  return (
    <p>
      <a href={c.var.base + withQuery('/privacy', { user: userId })}>Back</a>
    </p>
  );
}

/** What `forget` counts, in words. What is not here is shown by its name. */
const ERASED: Readonly<Record<string, string>> = {
  baseline: 'what was trusted of them: erased',
  history: 'logins in the history: erased',
  sessions: 'logins known: erased',
  incidents: 'incidents: under the pseudonym',
  visits: 'visits of incidents: erased',
  audit: 'entries of the audit: under the pseudonym',
  lists: 'entries of the lists: removed',
  jobs: 'logins that waited in the queue: removed',
};

const forget: UserHandler = async (c, userId) => {
  const { desk, actor, form } = c.var;
  const why = requiredText(form, 'why');
  if ((form.get('confirm') ?? '').trim() !== confirmationOf(userId)) {
    return refusal(c, 400, 'What was typed to confirm is not what was asked for: nothing is forgotten.');
  }
  const { counts, pseudonym } = await desk.forget(userId, why, actor);
  return page(
    c,
    { title: 'Forgotten', active: 'privacy' },
    <>
      <h1>The user is forgotten</h1>
      <p role="status">
        In the incidents and in the audit they are called <UserLink c={c} userId={pseudonym} /> now.
      </p>
      <Counts counts={Object.entries(counts).map(([what, count]) => [ERASED[what] ?? what, count] as const)} />
    </>,
  );
};
