import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { AuditTrail, Subject } from '../desk-ports.ts';
import { type ListKind, namesUser } from '../domain/lists.ts';
import { BouncerError } from '../errors.ts';
import type { AuditEntry } from '../ports.ts';
import { type Keys, tagOf, userTag } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const rewrite = loadScript('rewrite-audit-3');
const letGo = loadScript('let-go-1');

const ENTRIES_AT_ONCE = 1000;
/** Longer than the whole audit takes; a process that dies keeps others from it only so long. */
const CLAIM_MS = 120_000;

/** Stands where a person wrote something about a forgotten user. */
const ERASED = '(erased)';

interface Row {
  readonly id: string;
  readonly entry: AuditEntry;
}

/**
 * Nothing in a stream can be changed, so a stream that differs in some entries takes its place: copied in parts of a few
 * milliseconds, the last part and the exchange in one step, so that entries written meanwhile are kept.
 */
export function redisAuditTrail(redis: Redis, keys: Keys): AuditTrail {
  const claim = async (): Promise<string> => {
    const token = randomBytes(9).toString('base64url');
    if ((await redis.set(keys.auditClaim(), token, 'PX', CLAIM_MS, 'NX')) === null) throw busy();
    return token;
  };
  return {
    async about(subject) {
      const isAbout = aboutOf(subject);
      const found: AuditEntry[] = [];
      for await (const rows of pages(redis, keys)) found.push(...rows.map(({ entry }) => entry).filter(isAbout));
      return found.reverse();
    },
    claim,
    async release(token) {
      await runScript(redis, letGo, [keys.auditClaim()], [token]);
    },
    async pseudonymise(subject, pseudonym, claimed) {
      const isAbout = aboutOf(subject);
      const token = claimed ?? (await claim());
      // What came before may have taken longer than a claim stands: where nobody else has it now, it is ours again.
      await redis.set(keys.auditClaim(), token, 'PX', CLAIM_MS, 'NX');
      const copy = async (after: string, upTo: string, changed: readonly Row[]) => {
        const where = [keys.audit(), keys.auditCopy(token), keys.auditClaim()];
        const instead = changed.flatMap(({ id, entry }) => [id, JSON.stringify(without(entry, subject, pseudonym))]);
        const copied = await runScript(redis, rewrite, where, [token, after, upTo, String(CLAIM_MS), ...instead]);
        if (copied === -1) throw busy();
      };
      let after = '0-0';
      let count = 0;
      for await (const rows of pages(redis, keys)) {
        const changed = rows.filter(({ entry }) => isAbout(entry));
        const last = rows.at(-1)?.id ?? after;
        await copy(after, last, changed);
        after = last;
        count += changed.length;
      }
      await copy(after, '+', []);
      return count;
    },
  };
}

function busy(): BouncerError {
  return new BouncerError('audit_busy', 'the audit is being rewritten for another request: try again in two minutes');
}

/** Oldest first. */
async function* pages(redis: Redis, keys: Keys): AsyncGenerator<Row[]> {
  for (let after = '0-0'; ; ) {
    const rows = await redis.xrange(keys.audit(), `(${after}`, '+', 'COUNT', ENTRIES_AT_ONCE);
    if (rows.length === 0) return;
    yield rows.map(([id, [, json = '']]) => ({ id, entry: JSON.parse(json) as AuditEntry }));
    after = rows.at(-1)?.[0] ?? after;
  }
}

/** Whom an entry is about stands in fields of its own. What else it says is words, in which a user's id may be any of them. */
function aboutOf({ userId, caseIds }: Subject): (entry: AuditEntry) => boolean {
  const cases = new Set(caseIds);
  const tag = userTag(userId);
  return (entry) =>
    entry.userId === userId ||
    (entry.lid !== null && tagOf(entry.lid) === tag) ||
    (entry.caseId !== undefined && cases.has(entry.caseId)) ||
    isListed(entry, userId);
}

/** Changes of the lists spell the entry they are about: `block user <id>`, `allow device <id> <device>`. */
const LIST_ENTRY = /^(?:allow|block) (user|device) (.+)$/s;

/** Did it put this user, or a device of theirs, on a list or take it off? Older entries say so in their outcome alone. */
function isListed({ what, outcome }: AuditEntry, userId: string): boolean {
  if (what !== 'list_add' && what !== 'list_remove') return false;
  const [, kind, value = ''] = LIST_ENTRY.exec(outcome) ?? [];
  return kind !== undefined && namesUser({ kind: kind as ListKind, value }, userId);
}

/** Acts whose outcome names the place or the filter that they were about. */
const OF_PLACES: ReadonlySet<AuditEntry['what']> = new Set([
  'trust',
  'forget_trust',
  'list_add',
  'list_remove',
  'export',
]);

function without(entry: AuditEntry, { userId }: Subject, pseudonym: string): AuditEntry {
  const { what, outcome } = entry;
  // A network that is trusted, a device that is blocked: what was done is in `what`.
  const isTheirs = isListed(entry, userId) || (OF_PLACES.has(what) && /[.:/]/.test(outcome));
  return {
    ...entry,
    by: entry.by === userId ? pseudonym : entry.by,
    why: ERASED,
    userId: entry.userId === userId ? pseudonym : entry.userId,
    lid: entry.lid === null ? null : pseudonym,
    outcome: isTheirs ? ERASED : outcome,
  };
}
