/** The queue: what is open first, a filter, pages by cursor, and one answer to many. */

import type { Hono } from 'hono';
import type { AnswerRequest } from '../../desk-ports.ts';
import { isCaseNumber } from '../../domain/case-number.ts';
import { BouncerError, errorName } from '../../errors.ts';
import type { IncidentPage } from '../../ports.ts';
import { type Filter, readFilter } from '../incident-filter.ts';
import { MAX_NOTE, oneOf, optionalText } from '../inputs.ts';
import {
  CaseLink,
  type ConsoleEnv,
  type Ctx,
  mayAct,
  Pager,
  PostForm,
  page,
  refusal,
  requireRole,
  StatusBadge,
  Untrusted,
  withQuery,
} from '../kit.tsx';
import { ANSWERS, AnswerHint, FreshNote, needsFresh } from './answer-form.tsx';
import { ExportForms } from './exports.tsx';
import { FilterForm } from './incident-filter-form.tsx';
import { IncidentTable } from './incident-table.tsx';

const PAGE_SIZE = 50;

export function incidentsRoutes(app: Hono<ConsoleEnv>): void {
  app.get('/incidents', showQueue);
  app.post('/incidents/answer', requireRole('analyst'), answerMany);
}

async function showQueue(c: Ctx): Promise<Response> {
  const params = new URL(c.req.url).searchParams;
  const filter = readFilter(params);
  const cursor = params.get('cursor');
  const { found, problem } = await read(c, filter, cursor);
  const next = found.cursor === null ? null : withQuery('/incidents', { ...filter.values, cursor: found.cursor });
  const first = cursor === null ? null : withQuery('/incidents', filter.values);
  return page(
    c,
    { title: 'Incidents', active: 'incidents' },
    <>
      <h1>Incidents</h1>
      <FilterForm c={c} filter={filter} />
      {filter.problems.length === 0 ? null : (
        <p role="alert">Part of the filter could not be read and narrows nothing: see the fields above.</p>
      )}
      {problem === null ? null : <p role="alert">{problem}</p>}
      {found.incidents.length === 0 ? (
        <Nothing filter={filter} first={first} next={next} />
      ) : (
        <Queue c={c} found={found} />
      )}
      <Pager c={c} next={next} first={first} />
      <ExportForms c={c} filter={filter} />
    </>,
  );
}

/** A cursor that somebody cut in half is no reason to show nothing but an error. */
async function read(c: Ctx, { query }: Filter, cursor: string | null) {
  try {
    return { found: await c.var.desk.incidents(query, PAGE_SIZE, cursor), problem: null };
  } catch (error) {
    if (!(error instanceof BouncerError) || error.code !== 'cursor_invalid') throw error;
    const found = await c.var.desk.incidents(query, PAGE_SIZE, null);
    return { found, problem: 'That page could not be found: this is the first one.' };
  }
}

interface NothingProps {
  readonly filter: Filter;
  /** As the pager's: null on the first page, and on the last. */
  readonly first: string | null;
  readonly next: string | null;
}

/** For one page only so many rows are looked at: that none of them matches does not say that none does. */
function Nothing({ filter, first, next }: NothingProps) {
  if (next !== null) {
    const looked = first === null ? 'the newest ones' : 'those that this page looked at';
    return <p>None matches among {looked}; there are older ones: go on with the next page.</p>;
  }
  if (first !== null) return <p>No older incident matches.</p>;
  const isPlain = Object.keys(filter.values).every((field) => field === 'status');
  return <p>{isPlain && filter.values.status === 'open' ? 'Nothing is open.' : 'No incident matches.'}</p>;
}

function Queue({ c, found }: { c: Ctx; found: IncidentPage }) {
  if (!mayAct(c.var.actor.role, 'analyst')) {
    return <IncidentTable c={c} label="Incidents" incidents={found.incidents} />;
  }
  return (
    <PostForm c={c} action="/incidents/answer">
      <IncidentTable c={c} label="Incidents" incidents={found.incidents} pick />
      <fieldset>
        <legend>Answer the picked ones</legend>
        <div class="row">
          <div>
            <label for="bulk-disposition">Answer</label>
            <select id="bulk-disposition" name="disposition" required>
              <option value="">choose one</option>
              {ANSWERS.map((value) => (
                <option value={value}>{value}</option>
              ))}
            </select>
          </div>
          <div>
            <label for="bulk-note">Note</label>
            <input id="bulk-note" name="note" maxlength={MAX_NOTE} autocomplete="off" />
          </div>
          <label>
            <input type="checkbox" name="giveBack" value="yes" checked />
            with safe: give the sessions back, but for reused ones (at PHP sites their users must log in again)
          </label>
          <button type="submit">Answer</button>
        </div>
      </fieldset>
      <AnswerHint />
      <FreshNote c={c} />
    </PostForm>
  );
}

type Result = { readonly caseId: string } & (
  | { readonly kind: 'answered'; readonly closed: readonly string[] }
  /** Alike: an answer to one before it has closed it too. */
  | { readonly kind: 'closed_with'; readonly other: string }
  /** Somebody else was faster; `by` null: it is open again, or gone. */
  | { readonly kind: 'before'; readonly status: AnswerRequest['disposition'] | 'open'; readonly by: string | null }
  | { readonly kind: 'failed'; readonly why: string }
);

/** Each by itself: one that fails, or was answered before, keeps nobody from the others. */
async function answerMany(c: Ctx): Promise<Response> {
  const { form } = c.var;
  const cases = [...new Set(form.getAll('case'))].filter(isCaseNumber).slice(0, PAGE_SIZE);
  if (cases.length === 0) return refusal(c, 400, 'Pick at least one incident.');
  const request: AnswerRequest = {
    disposition: oneOf(form, 'disposition', ANSWERS),
    note: optionalText(form, 'note'),
    // Not of a reused session, which two browsers held: that is chosen case by case.
    giveBack: form.get('giveBack') === 'yes' ? undefined : false,
  };
  if (needsFresh(request) && !c.var.fresh) return refusal(c, 403, 'This answer needs your password again.');
  const results = await answerEach(c, cases, request);
  return page(c, { title: 'Answered', active: 'incidents' }, <Results c={c} results={results} request={request} />);
}

/** One after the other: `safe` closes incidents alike, which may be further down this very list. */
async function answerEach(c: Ctx, cases: readonly string[], request: AnswerRequest): Promise<Result[]> {
  const results: Result[] = [];
  try {
    for (const caseId of cases) results.push(await answerOne(c, caseId, request, results));
    return results;
  } catch (error) {
    if (results.length === 0) throw error;
    // What is done must be told, even where Redis went away in the middle.
    c.var.deps.log.error({ event: 'console_failed', error: errorName(error) }, 'A bulk answer stopped half way');
    const why = 'failed: look whether it is open still, and try again in a moment';
    return [...results, ...cases.slice(results.length).map((caseId) => ({ caseId, kind: 'failed' as const, why }))];
  }
}

/** `before`: what became of those before it. */
async function answerOne(c: Ctx, caseId: string, request: AnswerRequest, before: readonly Result[]): Promise<Result> {
  try {
    const { closed } = await c.var.desk.answer(caseId, request, c.var.actor);
    return { caseId, kind: 'answered', closed };
  } catch (error) {
    if (!(error instanceof BouncerError)) throw error;
    if (error.code !== 'incident_closed') return { caseId, kind: 'failed', why: error.message };
    const one = before.find((each) => each.kind === 'answered' && each.closed.includes(caseId));
    if (one !== undefined) return { caseId, kind: 'closed_with', other: one.caseId };
    const incident = await c.var.desk.incident(caseId);
    return { caseId, kind: 'before', status: incident?.status ?? 'open', by: incident?.resolvedBy ?? null };
  }
}

function Results({ c, results, request }: { c: Ctx; results: readonly Result[]; request: AnswerRequest }) {
  const others = results.filter(({ kind }) => kind !== 'answered' && kind !== 'closed_with');
  return (
    <>
      <h1>
        {results.length - others.length} of {results.length} answered: {request.disposition}
      </h1>
      <ClosedWith c={c} results={results} />
      {others.length === 0 ? null : (
        <>
          <h2>Not answered by you</h2>
          <ul>
            {others.map((one) => (
              <li>
                <CaseLink c={c} id={one.caseId} /> <Left result={one} />
              </li>
            ))}
          </ul>
        </>
      )}
      <p>
        <a href={`${c.var.base}/incidents`}>To the open incidents</a>
      </p>
    </>
  );
}

function ClosedWith({ c, results }: { c: Ctx; results: readonly Result[] }) {
  const alike = results.flatMap((one) => (one.kind === 'closed_with' ? [one] : []));
  if (alike.length === 0) return null;
  return (
    <ul>
      {alike.map(({ caseId, other }) => (
        <li>
          <CaseLink c={c} id={caseId} /> is alike and was closed with <CaseLink c={c} id={other} />
        </li>
      ))}
    </ul>
  );
}

function Left({ result }: { result: Result }) {
  if (result.kind === 'before') {
    return (
      <>
        was answered before: <StatusBadge status={result.status} /> by <Untrusted text={result.by} max={128} />
      </>
    );
  }
  return <>{result.kind === 'failed' ? result.why : ''}</>;
}
