/** The allow and block lists: all entries, a field to find some, a form for any kind. */

import type { Hono } from 'hono';
import { LIST_KINDS, type ListEntry, type ListKind } from '../../domain/lists.ts';
import { oneOf, requiredText } from '../inputs.ts';
import { type ConsoleEnv, type Ctx, page, requireRole, withQuery } from '../kit.tsx';
import { canBeInput } from '../text.ts';
import { number } from '../words.ts';
import { AddEntry, addEntry, Entries, removeEntry } from './list-parts.tsx';

/** There may be thousands; whoever looks for one of those types a part of it. */
const SHOWN = 200;
/** A user's id, a blank, and a device's. */
const MAX_VALUE = 400;

/** What each kind takes, as an example. */
const EXAMPLES: Readonly<Record<ListKind, string>> = {
  address: '203.0.113.7',
  network: '203.0.113.0/24 or 2001:db8::/32',
  device: 'a user id, a blank, a device id; blanks before it count',
  user: 'a user id, exactly: blanks around it count',
  asn: '64500',
  country_pair: 'DE>FR, from the known one to the one seen',
  country: 'FR',
};

export function listsRoutes(app: Hono<ConsoleEnv>): void {
  app.get('/lists', show);
  app.post('/lists/add', requireRole('analyst'), (c) => {
    const { form } = c.var;
    // Whatever kind it is: blanks around a user's id are part of it, and the desk takes them off where they are none.
    requiredText(form, 'value', MAX_VALUE);
    return addEntry(c, oneOf(form, 'kind', LIST_KINDS), form.get('value') ?? '', '/lists');
  });
  app.post('/lists/remove', requireRole('analyst'), (c) => removeEntry(c, '/lists'));
}

async function show(c: Ctx): Promise<Response> {
  const wanted = (c.req.query('q') ?? '').trim().slice(0, MAX_VALUE);
  const all = await c.var.desk.lists();
  const found = newestFirst(all.filter((entry) => isMatch(entry, wanted.toLowerCase())));
  return page(
    c,
    { title: 'Lists', active: 'lists' },
    <>
      <h1>Allow and block lists</h1>
      <p>
        What a person says here stands above what the databases say: an allowed login passes, a blocked one is refused.
        Where two entries fit one login, the most specific decides, in the order of the kinds below; of the same kind,
        block beats allow. So an allowed address lets a blocked user in: to keep somebody out, look whether one is.
      </p>
      <Find c={c} wanted={wanted} />
      <p>{countWords(all.length, found.length)}</p>
      <Entries c={c} entries={found.slice(0, SHOWN)} action="/lists/remove" />
      <AddEntry c={c} action="/lists/add" what="an address, a network, a user and the like">
        <KindFields />
      </AddEntry>
      <details>
        <summary>What each kind takes</summary>
        <dl class="facts">
          {LIST_KINDS.map((kind) => (
            <>
              <dt>{kind.replaceAll('_', ' ')}</dt>
              <dd>{EXAMPLES[kind]}</dd>
            </>
          ))}
        </dl>
      </details>
    </>,
  );
}

function isMatch({ list, kind, value, why, by }: ListEntry, wanted: string): boolean {
  return [list, kind, kind.replaceAll('_', ' '), value, why, by].some((text) => text.toLowerCase().includes(wanted));
}

function newestFirst(entries: readonly ListEntry[]): ListEntry[] {
  return [...entries].sort((a, b) => b.createdAtMs - a.createdAtMs);
}

function countWords(all: number, found: number): string {
  const of = found === all ? number(all) : `${number(found)} of ${number(all)}`;
  const entries = `${of} ${all === 1 ? 'entry' : 'entries'}`;
  return found > SHOWN ? `${entries}; the newest ${SHOWN} are shown.` : `${entries}.`;
}

function Find({ c, wanted }: { c: Ctx; wanted: string }) {
  return (
    <search>
      <form method="get" action={`${c.var.base}/lists`} class="row">
        <div>
          <label for="list-q">Find entries with</label>
          <input id="list-q" type="search" name="q" value={canBeInput(wanted) ? wanted : ''} maxlength={MAX_VALUE} />
        </div>
        <button type="submit" class="outline">
          Find
        </button>
        {wanted === '' ? null : <a href={c.var.base + withQuery('/lists', {})}>Show all</a>}
      </form>
    </search>
  );
}

function KindFields() {
  return (
    <>
      <div>
        <label for="entry-kind">Kind</label>
        <select id="entry-kind" name="kind" required>
          <option value="">choose one</option>
          {LIST_KINDS.map((kind) => (
            <option value={kind}>{kind.replaceAll('_', ' ')}</option>
          ))}
        </select>
      </div>
      <div>
        <label for="entry-value">Value</label>
        <input id="entry-value" name="value" required maxlength={MAX_VALUE} autocomplete="off" />
      </div>
    </>
  );
}
