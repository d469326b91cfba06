/** The incidents of the present filter as a file, in pieces as they are read. A form, not a link: it writes into the audit. */

import type { Hono } from 'hono';
import type { ExportFormat, IncidentFile } from '../../desk-ports.ts';
import { errorName } from '../../errors.ts';
import { type Filter, readFilter } from '../incident-filter.ts';
import { type ConsoleEnv, type Ctx, mayAct, PostForm, refusal, requireRole, withQuery } from '../kit.tsx';

const FORMATS = [
  ['csv', 'CSV, for a spreadsheet'],
  ['ndjson', 'NDJSON, one JSON a line'],
] as const satisfies readonly (readonly [ExportFormat, string])[];

export function exportRoutes(app: Hono<ConsoleEnv>): void {
  for (const [format] of FORMATS) {
    app.post(`/incidents.${format}`, requireRole('analyst'), (c) => download(c, format));
    // Who of the team did what: for those who are answerable for it.
    app.post(`/audit.${format}`, requireRole('admin'), (c) => downloadAudit(c, format));
  }
}

export function ExportForms({ c, filter }: { c: Ctx; filter: Filter }) {
  if (!mayAct(c.var.actor.role, 'analyst') || filter.problems.length > 0) return null;
  return (
    <section aria-labelledby="export-title">
      <h2 id="export-title">Export</h2>
      <p>All incidents of this filter, without session and login ids. That you did so is noted in the audit.</p>
      <Buttons c={c} path="/incidents" values={filter.values} />
    </section>
  );
}

function Buttons({ c, path, values }: { c: Ctx; path: string; values: Filter['values'] }) {
  return (
    <div class="row">
      {FORMATS.map(([format, text]) => (
        <PostForm c={c} action={withQuery(`${path}.${format}`, values)} class="download">
          <button type="submit" class="outline small">
            {text}
          </button>
        </PostForm>
      ))}
    </div>
  );
}

async function download(c: Ctx, format: ExportFormat): Promise<Response> {
  const filter = readFilter(new URL(c.req.url).searchParams);
  // A file must not hold more than was asked for.
  if (filter.problems.length > 0) return refusal(c, 400, 'Part of the filter could not be read: correct it first.');
  const file = c.var.desk.exportIncidents(filter.query, format);
  const noted = { userId: filter.query.userId ?? null, outcome: filterWords(format, filter) };
  return handOut(c, file, `incidents-${stamp(c.var.nowMs)}.${format}`, noted);
}

export function AuditExportForms({ c }: { c: Ctx }) {
  if (!mayAct(c.var.actor.role, 'admin')) return null;
  return (
    <section aria-labelledby="export-title">
      <h2 id="export-title">Export</h2>
      <p>All of the audit, without login ids. That you did so is noted here.</p>
      <Buttons c={c} path="/audit" values={{}} />
    </section>
  );
}

function downloadAudit(c: Ctx, format: ExportFormat): Promise<Response> {
  const file = c.var.desk.exportAudit(format);
  return handOut(c, file, `audit-${stamp(c.var.nowMs)}.${format}`, { userId: null, outcome: `audit ${format}` });
}

/** Noted before the first byte goes out: where that cannot be written, nothing is handed out. */
async function handOut(
  c: Ctx,
  { type, pieces }: IncidentFile,
  name: string,
  noted: { readonly userId: string | null; readonly outcome: string },
): Promise<Response> {
  const { desk, actor, deps } = c.var;
  const iterator = pieces[Symbol.asyncIterator]();
  // What fails at once is an error page, not half a file.
  const first = await iterator.next();
  await desk.note({ what: 'export', by: actor.by, why: '', lid: null, ...noted });
  const failed = (error: unknown) =>
    deps.log.error({ event: 'console_failed', error: errorName(error) }, 'An export stopped half way');
  return c.body(streamOf(first, iterator, failed), 200, {
    'Content-Type': type,
    'Content-Disposition': `attachment; filename="${name}"`,
  });
}

/** The user stands in a field of its own, which "forget this user" knows. */
function filterWords(format: ExportFormat, { values }: Filter): string {
  const fields = Object.entries(values).flatMap(([field, value]) => (field === 'user' ? [] : [`${field}=${value}`]));
  return [format, ...fields].join(' ');
}

/** As a part of a file's name: no colons. */
export function stamp(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replaceAll(':', '');
}

type Pieces = AsyncIterator<string>;

/** One piece whenever the browser has room for it. A failure breaks the transfer off: a browser sees that it is no whole file. */
function streamOf(first: IteratorResult<string>, pieces: Pieces, failed: (error: unknown) => void) {
  const encoder = new TextEncoder();
  let next: IteratorResult<string> | null = first;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = next ?? (await pieces.next());
        next = null;
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      } catch (error) {
        failed(error);
        // The framework may log this one: nothing of the inside is in it.
        controller.error(new Error('The export stopped half way'));
      }
    },
    async cancel() {
      await pieces.return?.();
    },
  });
}
