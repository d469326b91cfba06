/** Who did what, newest first. */

import type { Hono } from 'hono';
import type { AuditEntry } from '../../ports.ts';
import { ACTS, outcomeWords } from '../act-words.ts';
import {
  CaseLink,
  type ConsoleEnv,
  type Ctx,
  Pager,
  page,
  Scroll,
  Time,
  Untrusted,
  UserLink,
  withQuery,
} from '../kit.tsx';
import { AuditExportForms } from './exports.tsx';

const PAGE_SIZE = 100;
/** Each page reads all that is newer than it. */
const MAX_PAGES = 50;

export function auditRoutes(app: Hono<ConsoleEnv>): void {
  app.get('/audit', show);
}

async function show(c: Ctx): Promise<Response> {
  const number = pageNumber(c.req.query('page'));
  // One more than is shown says whether there is another page.
  const all = await c.var.desk.audit(number * PAGE_SIZE + 1);
  const entries = all.slice((number - 1) * PAGE_SIZE, number * PAGE_SIZE);
  const hasMore = all.length > number * PAGE_SIZE && number < MAX_PAGES;
  return page(
    c,
    { title: 'Audit', active: 'audit' },
    <>
      <h1>Audit</h1>
      {entries.length === 0 ? (
        <p>Nothing is on record{number > 1 ? ' so far back' : ' yet'}.</p>
      ) : (
        <Acts c={c} entries={entries} />
      )}
      <Pager
        c={c}
        next={hasMore ? withQuery('/audit', { page: number + 1 }) : null}
        first={number === 1 ? null : '/audit'}
      />
      <AuditExportForms c={c} />
    </>,
  );
}

function pageNumber(text: string | undefined): number {
  const number = /^\d{1,4}$/.test(text ?? '') ? Number(text) : 1;
  return Math.min(Math.max(number, 1), MAX_PAGES);
}

function Acts({ c, entries }: { c: Ctx; entries: readonly AuditEntry[] }) {
  return (
    <Scroll label="Audit">
      <table class="striped">
        <thead>
          <tr>
            {['When (UTC)', 'Who', 'Did what', 'Outcome', 'User', 'Case', 'Why'].map((title) => (
              <th scope="col">{title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <Act c={c} entry={entry} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Act({ c, entry: { atMs, by, what, outcome, userId, caseId, why } }: { c: Ctx; entry: AuditEntry }) {
  return (
    <tr>
      <td>
        <Time ms={atMs} precise />
      </td>
      <th scope="row">
        <Untrusted text={by} max={128} />
      </th>
      <td>{ACTS[what] ?? <Untrusted text={what} max={40} />}</td>
      <td>
        <Untrusted text={outcomeWords(outcome)} max={300} />
      </td>
      <td>{userId === null ? '' : <UserLink c={c} userId={userId} />}</td>
      <td>{caseId === undefined ? '' : <CaseLink c={c} id={caseId} />}</td>
      <td>{why === '' ? '' : <Untrusted text={why} max={500} />}</td>
    </tr>
  );
}
