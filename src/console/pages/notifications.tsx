/** Notifications that no attempt could deliver, and another try at them. */

import type { Hono } from 'hono';
import type { DeadLetter } from '../../desk-ports.ts';
import { requiredText } from '../inputs.ts';
import {
  CaseLink,
  type ConsoleEnv,
  type Ctx,
  PostForm,
  page,
  requireRole,
  Scroll,
  seeOther,
  Time,
  Untrusted,
} from '../kit.tsx';
import { number } from '../words.ts';

const SHOWN = 200;
/** As the queue makes them. */
const MAX_ID = 256;

export function notificationsRoutes(app: Hono<ConsoleEnv>): void {
  app.get('/notifications', show);
  app.post('/notifications/retry', requireRole('analyst'), retry);
}

async function show(c: Ctx): Promise<Response> {
  const letters = await c.var.desk.deadLetters(SHOWN);
  return page(
    c,
    { title: 'Notifications', active: 'notifications' },
    <>
      <h1>Notifications that could not be delivered</h1>
      {letters.length === 0 ? (
        <p>There is none: every notification was delivered, or is tried again by itself.</p>
      ) : (
        <>
          <p>
            {letters.length < SHOWN ? number(letters.length) : `The newest ${SHOWN}`}, given up after all attempts. They
            are kept for 30 days. Sent again, one has the same id as before: a receiver that has it already may ignore
            it.
          </p>
          <Letters c={c} letters={letters} />
        </>
      )}
    </>,
  );
}

function Letters({ c, letters }: { c: Ctx; letters: readonly DeadLetter[] }) {
  return (
    <Scroll label="Notifications">
      <table class="striped">
        <thead>
          <tr>
            {['Given up (UTC)', 'Event', 'To', 'Case', 'Why'].map((title) => (
              <th scope="col">{title}</th>
            ))}
            <th scope="col" class="number">
              Attempts
            </th>
            <th scope="col">Again</th>
          </tr>
        </thead>
        <tbody>
          {letters.map((letter) => (
            <Letter c={c} letter={letter} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Letter({ c, letter: { id, event, host, caseId, atMs, attempts, why } }: { c: Ctx; letter: DeadLetter }) {
  return (
    <tr>
      <td>
        <Time ms={atMs} />
      </td>
      <th scope="row">
        <Untrusted text={event} max={60} code />
      </th>
      <td>
        <Untrusted text={host} max={120} code />
      </td>
      <td>{caseId === null ? '' : <CaseLink c={c} id={caseId} />}</td>
      <td>
        <Untrusted text={why} max={120} />
      </td>
      <td class="number">{number(attempts)}</td>
      <td>
        <PostForm c={c} action="/notifications/retry" needs="analyst" values={{ letter: id }}>
          <button type="submit" class="outline small" aria-label={`Send again: ${id}`}>
            Send again
          </button>
        </PostForm>
      </td>
    </tr>
  );
}

async function retry(c: Ctx): Promise<Response> {
  const found = await c.var.desk.retryDeadLetter(requiredText(c.var.form, 'letter', MAX_ID), c.var.actor);
  return seeOther(c, '/notifications', found ? 'It is sent again.' : 'It is not there any more.');
}
