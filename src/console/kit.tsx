/** What pages are made of. Each page module takes everything it needs from here. */

import type { Child } from 'hono/jsx';
import type { Role } from '../desk-ports.ts';
import type { IncidentRecord } from '../domain/incident.ts';
import { REASONS, type Reason } from '../domain/reasons.ts';
import { mayAct } from './access.ts';
import type { Ctx } from './env.ts';
import { setFlash } from './flash.ts';
import { type Place, renderDocument } from './layout.tsx';
import { addressPath, incidentPath, networkPath, userPath } from './paths.ts';
import { piecesOf, plain } from './text.ts';

export { mayAct, requireFresh, requireRole } from './access.ts';
export type { ConsoleEnv, Ctx } from './env.ts';
export { addressPath, incidentPath, networkPath, userPath, withQuery } from './paths.ts';
export { refusal } from './refusal.tsx';
export { plain } from './text.ts';

/** A whole page. Asks for the brake's state, for its banner. */
export async function page(c: Ctx, frame: { title: string; active?: Place }, children: Child): Promise<Response> {
  return renderDocument(c, { ...frame, brake: await c.var.desk.brake() }, children);
}

/** After a write: on to a page (below the mount, with a slash in front), which says `message` once. */
export function seeOther(c: Ctx, path: string, message?: string): Response {
  if (message !== undefined) setFlash(c, message);
  return c.redirect(c.var.base + path, 303);
}

/** A field of the form, trimmed and bounded; '' where it is missing. */
export function field(c: Ctx, name: string, max = 2000): string {
  return (c.var.form.get(name) ?? '').trim().slice(0, max);
}

/** One of a closed set of values, or null. */
export function choice<T extends string>(value: string | null | undefined, of: readonly T[]): T | null {
  return of.find((each) => each === value) ?? null;
}

interface PostFormProps {
  readonly c: Ctx;
  /** Below the mount. */
  readonly action: string;
  readonly class?: string;
  /** Hidden fields. */
  readonly values?: Readonly<Record<string, string>>;
  /** Nothing is shown to who may not. */
  readonly needs?: Role;
  /** It asks for a recent proof of identity (`requireFresh`): a link to give one stands in its place where that is due. */
  readonly fresh?: boolean;
  readonly id?: string;
  readonly children?: Child;
}

/** Where an app says when a proof was given, and not where one is given anew: a form would only be refused. */
const NO_PROOF = 'This needs a fresh proof of who you are: sign in to this site again.';

/** Every form that writes is one of these. */
export function PostForm({ c, action, values = {}, needs, fresh, id, children, ...rest }: PostFormProps) {
  const { base, csrf, actor, deps } = c.var;
  if (needs !== undefined && !mayAct(actor.role, needs)) return null;
  if (fresh && !c.var.fresh) {
    const { pathname, search } = new URL(c.req.url);
    if (deps.reauthenticate === undefined) return <p class="confirm">{NO_PROOF}</p>;
    return (
      <p class="confirm">
        <a href={deps.reauthenticate(base + pathname + search)}>Confirm your password to do this</a>
      </p>
    );
  }
  return (
    <form method="post" action={base + action} id={id} class={rest.class}>
      <input type="hidden" name="csrf" value={csrf} />
      {Object.entries(values).map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
      {children}
    </form>
  );
}

/** UTC; `precise` with milliseconds. */
export function Time({ ms, precise }: { ms: number | null | undefined; precise?: boolean }) {
  if (ms === null || ms === undefined || !Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return <span>unknown</span>;
  const iso = new Date(ms).toISOString();
  return (
    <time datetime={iso} title={`${iso.slice(0, 10)} ${iso.slice(11, 23)} UTC`}>
      {`${iso.slice(0, 10)} ${iso.slice(11, precise ? 23 : 19)}`}
    </time>
  );
}

/** Text that somebody outside wrote. Never put such text anywhere else. */
export function Untrusted({
  text,
  max = 200,
  code,
}: {
  text: string | null | undefined;
  max?: number;
  code?: boolean;
}) {
  if (text === null || text === undefined || text === '') return <span class="none">not told</span>;
  const { pieces, cut } = piecesOf(text, max);
  const shown = pieces.map((piece) => (piece.odd ? <span class="odd">{piece.text}</span> : piece.text));
  return (
    <bdi class={outsideClass(code, text.length)} title={cut ? plain(text, 2000) : undefined}>
      {shown}
      {cut ? '…' : ''}
    </bdi>
  );
}

/** Longer than a name: in a table it gets a column of some width. */
const LONG = 40;

function outsideClass(code: boolean | undefined, length: number): string {
  return `outside${code ? ' code' : ''}${length > LONG ? ' long' : ''}`;
}

interface LinkTo {
  readonly c: Ctx;
}

export function CaseLink({ c, id }: LinkTo & { id: string }) {
  return (
    <a class="code" href={c.var.base + incidentPath(id)}>
      {plain(id, 40)}
    </a>
  );
}

export function UserLink({ c, userId, max = 60 }: LinkTo & { userId: string; max?: number }) {
  return (
    <a href={c.var.base + userPath(userId)}>
      <Untrusted text={userId} max={max} />
    </a>
  );
}

export function AddressLink({ c, address }: LinkTo & { address: string | null | undefined }) {
  if (!address) return <span class="none">unknown</span>;
  return (
    <a class="code" href={c.var.base + addressPath(address)}>
      {plain(address, 60)}
    </a>
  );
}

export function NetworkLink({ c, network }: LinkTo & { network: string | null | undefined }) {
  if (!network) return <span class="none">unknown</span>;
  return (
    <a class="code" href={c.var.base + networkPath(network)}>
      {plain(network, 60)}
    </a>
  );
}

const ENDED = new Set(['revoked', 'already_revoked']);

/** What became of it, in a word that does not need its colour: open or answered, and what was done. */
export function StatusBadge({ status }: { status: IncidentRecord['status'] }) {
  return <span class={`badge ${status}`}>{status}</span>;
}

export function DoneBadge({ incident }: { incident: Pick<IncidentRecord, 'action' | 'mode' | 'outcome'> }) {
  const { action, mode, outcome } = incident;
  if (action === 'flag') return <span class="badge flag">flagged</span>;
  if (mode === 'observe' || outcome === 'observed') return <span class="badge observed">would have ended</span>;
  return ENDED.has(outcome) ? (
    <span class="badge revoke">ended</span>
  ) : (
    <span class="badge observed">not ended: {outcome}</span>
  );
}

export function ReasonText({ reason, brief }: { reason: Reason; brief?: boolean }) {
  const meaning = REASONS[reason]?.meaning ?? '';
  if (brief) return <span title={meaning}>{reason.replaceAll('_', ' ')}</span>;
  return (
    <span>
      <strong>{reason.replaceAll('_', ' ')}</strong>: {meaning}
    </span>
  );
}

const names = new Intl.DisplayNames(['en'], { type: 'region', fallback: 'code' });

/** `DE` and its English name. Not a country code: as the untrusted text it is. */
export function Country({ code }: { code: string }) {
  if (!/^[A-Z]{2}$/.test(code)) return <Untrusted text={code} max={8} />;
  return <abbr title={countryName(code)}>{code}</abbr>;
}

export function countryName(code: string): string {
  return /^[A-Z]{2}$/.test(code) ? (names.of(code) ?? code) : code;
}

/** `next`: a path below the mount, or null at the end; `first`: back to the first page, null where this is it. */
export function Pager({ c, next, first }: LinkTo & { next: string | null; first?: string | null }) {
  if (next === null && !first) return null;
  return (
    <nav class="pager" aria-label="Pages">
      {first ? <a href={c.var.base + first}>First page</a> : <span />}
      {next === null ? (
        <span>That is all</span>
      ) : (
        <a rel="next" href={c.var.base + next}>
          Next page
        </a>
      )}
    </nav>
  );
}

/** A wide table scrolls within itself, and the keyboard can scroll it. */
export function Scroll({ label, children }: { label: string; children?: Child }) {
  return (
    <section class="scroll" aria-label={label} tabindex={0}>
      {children}
    </section>
  );
}
