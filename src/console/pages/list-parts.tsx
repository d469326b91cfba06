/** Entries of the allow and block lists where they matter: a table to take some away, a form to add one. */

import type { Child } from 'hono/jsx';
import type { ListEntry, ListKind } from '../../domain/lists.ts';
import { DURATIONS, duration, MAX_LIST_WHY, oneOf, requiredText } from '../inputs.ts';
import { type Ctx, PostForm, refusal, Scroll, seeOther, Time, Untrusted } from '../kit.tsx';

interface EntriesProps {
  readonly c: Ctx;
  readonly entries: readonly ListEntry[];
  /** Where a removal is posted to; it comes back from there. */
  readonly action: string;
}

export function Entries({ c, entries, action }: EntriesProps) {
  if (entries.length === 0) return <p>No entry of the lists.</p>;
  return (
    <Scroll label="List entries">
      <table class="striped">
        <thead>
          <tr>
            {['List', 'What', 'Why', 'By', 'Added (UTC)', 'Ends (UTC)', 'Remove'].map((title) => (
              <th scope="col">{title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <EntryRow c={c} entry={entry} action={action} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function EntryRow({ c, entry, action }: { c: Ctx; entry: ListEntry; action: string }) {
  const { id, list, kind, value, why, by, createdAtMs, expiresAtMs } = entry;
  return (
    <tr>
      <th scope="row">{list}</th>
      <td>
        {kind.replaceAll('_', ' ')} <Untrusted text={value} max={120} code />
      </td>
      <td>
        <Untrusted text={why} max={300} />
      </td>
      <td>
        <Untrusted text={by} max={128} />
      </td>
      <td>
        <Time ms={createdAtMs} />
      </td>
      <td>{expiresAtMs === null ? 'never' : <Time ms={expiresAtMs} />}</td>
      <td>
        <PostForm c={c} action={action} needs="analyst" values={{ entry: id }} class="row">
          <input name="why" required maxlength={MAX_LIST_WHY} aria-label={`Why entry ${id} goes`} placeholder="why" />
          <button type="submit" class="outline small" aria-label={`Remove entry ${id}`}>
            Remove
          </button>
        </PostForm>
      </td>
    </tr>
  );
}

interface AddEntryProps {
  readonly c: Ctx;
  readonly action: string;
  readonly what: string;
  /** Left out: the person chooses it. */
  readonly kind?: ListKind;
  /** Fields before the others: where the page does not say what the entry is for. */
  readonly children?: Child;
}

export function AddEntry({ c, action, what, kind, children }: AddEntryProps) {
  return (
    <PostForm c={c} action={action} needs="analyst">
      <fieldset>
        <legend>Block or allow {what}</legend>
        <div class="row">
          {children}
          <div>
            <label for="entry-list">List</label>
            <select id="entry-list" name="list" required>
              <option value="">choose one</option>
              <option value="block">block: its logins are refused</option>
              <option value="allow">allow: its logins pass</option>
            </select>
          </div>
          <div>
            <label for="entry-for">For</label>
            <select id="entry-for" name="for">
              {DURATIONS.map(([value, text]) => (
                <option value={value} selected={value === '7d'}>
                  {text}
                </option>
              ))}
            </select>
          </div>
          <div>
            <label for="entry-why">Why</label>
            <input id="entry-why" name="why" required maxlength={MAX_LIST_WHY} autocomplete="off" />
          </div>
          <button type="submit">Add</button>
        </div>
        <WideNote c={c} kind={kind} />
      </fieldset>
    </PostForm>
  );
}

/** Before somebody types what would be refused. */
function WideNote({ c, kind }: { c: Ctx; kind: ListKind | undefined }) {
  const { base, fresh, deps } = c.var;
  if (fresh || (kind !== undefined && !WIDE.has(kind))) return null;
  const { pathname, search } = new URL(c.req.url);
  const href = deps.reauthenticate?.(base + pathname + search);
  return (
    <p class="soft">
      To block or allow a network, an AS number, a country or a pair of countries needs a fresh proof.{' '}
      {href === undefined ? null : <a href={href}>Confirm your password first</a>}
    </p>
  );
}

/** One word of these ends the sessions of people whom nobody has looked at, or switches the check off for all of them. */
const WIDE: ReadonlySet<ListKind> = new Set(['network', 'asn', 'country', 'country_pair']);
const NEEDS_PROOF =
  'To block or allow a network, an AS number, a country or a pair of countries needs your password again. Confirm it, then repeat what you did.';

/** The form above, answered: on to `back`. */
export async function addEntry(c: Ctx, kind: ListKind, value: string, back: string): Promise<Response> {
  const { form, nowMs, desk, actor } = c.var;
  const list = oneOf(form, 'list', ['block', 'allow']);
  const forMs = duration(form, 'for');
  const why = requiredText(form, 'why', MAX_LIST_WHY);
  if (WIDE.has(kind) && !c.var.fresh) return refusal(c, 403, NEEDS_PROOF);
  await desk.addToList({ list, kind, value, why, expiresAtMs: forMs === null ? null : nowMs + forMs }, actor);
  return seeOther(c, back, list === 'block' ? 'It is on the block list.' : 'It is on the allow list.');
}

export async function removeEntry(c: Ctx, back: string): Promise<Response> {
  const { form, desk, actor } = c.var;
  const removed = await desk.removeFromList(
    requiredText(form, 'entry', 128),
    requiredText(form, 'why', MAX_LIST_WHY),
    actor,
  );
  return seeOther(c, back, removed === null ? 'That entry was gone already.' : 'The entry is removed.');
}
