import type { Desk } from '../desk-ports.ts';
import type { ListEntry } from '../domain/lists.ts';
import type { AuditEntry } from '../ports.ts';
import { checkActor, checkWhy, note, type ReviewDeps } from '../review.ts';

type ListDeps = Pick<ReviewDeps, 'lists' | 'audit' | 'clock' | 'log'>;

/** The allow and block lists, with an audit entry for each change. Adding throws BouncerError `option_invalid`. */
export function listActs(deps: ListDeps): Pick<Desk, 'lists' | 'addToList' | 'removeFromList'> {
  return {
    lists: () => deps.lists.list(deps.clock()),
    async addToList(wanted, actor) {
      checkActor(actor);
      const entry = await deps.lists.add({ ...wanted, by: actor.by }, deps.clock());
      await note(deps, [act('list_add', entry, actor.by, entry.why)]);
      return entry;
    },
    async removeFromList(id, why, actor) {
      checkActor(actor);
      checkWhy(why);
      const entry = await deps.lists.remove(id);
      if (entry !== null) await note(deps, [act('list_remove', entry, actor.by, why)]);
      return entry;
    },
  };
}

function act(
  what: 'list_add' | 'list_remove',
  { list, kind, value }: ListEntry,
  by: string,
  why: string,
): Omit<AuditEntry, 'atMs'> {
  // So that "what do you hold on this user" finds it.
  const userId = kind === 'user' ? value : kind === 'device' ? value.slice(0, value.lastIndexOf(' ')) : null;
  return { what, by, why, userId, lid: null, outcome: `${list} ${kind} ${value}` };
}
