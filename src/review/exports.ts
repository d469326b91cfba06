import type { ExportFormat, IncidentQuery } from '../desk-ports.ts';
import { safeJson, visible } from '../domain/hostile-text.ts';
import type { IncidentRecord } from '../domain/incident.ts';
import type { Audit, AuditEntry, IncidentPage } from '../ports.ts';

/** Incidents as a file, made page by page: neither the server nor Redis ever holds all of it. */
export interface ExportDeps {
  readonly incidents: { list(query: IncidentQuery, limit: number, cursor: string | null): Promise<IncidentPage> };
}

export type { ExportFormat };

export const EXPORT_TYPES: Readonly<Record<ExportFormat, string>> = {
  csv: 'text/csv; charset=utf-8; header=present',
  ndjson: 'application/x-ndjson; charset=utf-8',
};

const INCIDENTS_AT_ONCE = 200;

/** One piece a page, newest first. Neither session ids nor handles nor login ids are in it. */
export async function* exportIncidents(
  { incidents }: ExportDeps,
  query: IncidentQuery,
  format: ExportFormat,
): AsyncGenerator<string> {
  if (format === 'csv') yield csvLine(COLUMNS.map(([title]) => title));
  let cursor: string | null = null;
  do {
    const page: IncidentPage = await incidents.list(query, INCIDENTS_AT_ONCE, cursor);
    if (page.incidents.length > 0) yield page.incidents.map(format === 'csv' ? csvOf : ndjsonOf).join('');
    cursor = page.cursor;
  } while (cursor !== null);
}

/** One piece a page, newest first, without login ids. */
export async function* exportAudit(audit: Pick<Audit, 'pages'>, format: ExportFormat): AsyncGenerator<string> {
  if (format === 'csv') yield csvLine(ACT_COLUMNS.map(([title]) => title));
  for await (const entries of audit.pages()) yield entries.map(format === 'csv' ? actCsv : actNdjson).join('');
}

type Cell = string | number | null | undefined;

const COLUMNS: readonly (readonly [title: string, value: (one: IncidentRecord) => Cell])[] = [
  ['case', ({ id }) => id],
  ['status', ({ status }) => status],
  ['action', ({ action }) => action],
  ['reason', ({ reason }) => reason],
  ['outcome', ({ outcome }) => outcome],
  ['mode', ({ mode }) => mode],
  ['user', ({ userId }) => userId],
  ['address', ({ sighting }) => sighting.address],
  ['network', ({ sighting }) => (sighting.kind === 'located' ? sighting.network : null)],
  ['countries', ({ sighting }) => (sighting.kind === 'located' ? sighting.candidates.join(' ') : sighting.why)],
  ['known_countries', knownCountries],
  ['device', ({ deviceId }) => deviceId],
  ['browser', ({ userAgent }) => userAgent],
  ['login_at', ({ loginAtMs }) => instant(loginAtMs)],
  ['decided_at', ({ decidedAtMs }) => instant(decidedAtMs)],
  ['revoked_at', ({ revokedAtMs }) => instant(revokedAtMs)],
  ['first_refused_at', ({ firstRefusedAtMs }) => instant(firstRefusedAtMs)],
  ['visits', ({ visitCount }) => visitCount],
  ['answered_by', ({ resolvedBy }) => resolvedBy],
  ['answered_at', ({ resolvedAtMs }) => instant(resolvedAtMs)],
  ['note', ({ note }) => note],
  ['ended_again_at', ({ endedAgain }) => instant(endedAgain?.atMs)],
  ['ended_again_reason', ({ endedAgain }) => endedAgain?.reason],
  ['ended_again_was', ({ endedAgain }) => endedAgain?.was],
];

const ACT_COLUMNS: readonly (readonly [title: string, value: (one: AuditEntry) => Cell])[] = [
  ['at', ({ atMs }) => instant(atMs)],
  ['by', ({ by }) => by],
  ['what', ({ what }) => what],
  ['outcome', ({ outcome }) => outcome],
  ['user', ({ userId }) => userId],
  ['case', ({ caseId }) => caseId],
  ['why', ({ why }) => why],
];

function actCsv(one: AuditEntry): string {
  return csvLine(ACT_COLUMNS.map(([, value]) => value(one)));
}

function actNdjson({ lid: _, ...rest }: AuditEntry): string {
  return `${safeJson(rest)}\n`;
}

function knownCountries({ baseline }: IncidentRecord): string {
  const places = [...baseline.v4.places, ...baseline.v6.places];
  return [...new Set(places.flatMap(({ countries }) => countries))].sort().join(' ');
}

/** Also of what was stored wrongly: an export of a million rows does not fail for one of them. */
function instant(atMs: number | undefined): string {
  if (atMs === undefined) return '';
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

function csvOf(one: IncidentRecord): string {
  return csvLine(COLUMNS.map(([, value]) => value(one)));
}

/** RFC 4180: CRLF, every cell quoted, quotation marks doubled. */
function csvLine(cells: readonly Cell[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

/**
 * A spreadsheet takes a cell that begins like this for a formula, quoted or not (OWASP, CSV Injection): an apostrophe before it
 * makes it text. Also where blanks or controls stand before, which some programs skip, and for the full-width forms.
 */
const FORMULA = /^[\s\p{Cc}\p{Cf}]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]/u;
/**
 * The same further on: a program that parts cells elsewhere (at semicolons, where a comma is the decimal sign; at TABs) heeds
 * our quotes only at the beginning of its own cells, so whatever may part cells or rows may be such a beginning.
 */
const FORMULA_WITHIN = /([;,|\t\r\n](?:(?![\t\r\n])[\s\p{Cc}\p{Cf}"])*)(?=[=+\-@\uFF1D\uFF0B\uFF0D\uFF20])/gu;

function csvCell(cell: Cell): string {
  if (typeof cell === 'number') return `"${cell}"`;
  // A terminal acts on some controls, a text turns round by others, and NUL ends it for some readers.
  const text = visible(cell ?? '');
  const harmless = (FORMULA.test(text) ? `'${text}` : text).replace(FORMULA_WITHIN, "$1'");
  return `"${harmless.replaceAll('"', '""')}"`;
}

/** Whole, but for what stands for the session. A line break in a text is escaped by JSON. */
function ndjsonOf({ handle: _, lid: __, ...rest }: IncidentRecord): string {
  return `${safeJson(rest)}\n`;
}
