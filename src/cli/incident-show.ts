/** One incident, whole: what a person needs to answer it. */

import type { IncidentRecord, Visit } from '../domain/incident.ts';
import { phpWords } from '../domain/php-words.ts';
import { REASONS } from '../domain/reasons.ts';
import type { FamilyBaseline } from '../domain/types.ts';
import { evidenceTable } from './evidence-table.ts';
import { countries, done, placeOf, styleOf, whyNot } from './incident-list.ts';
import { type KnownFrom, knownFromTable } from './known-from.ts';
import { type Column, sideBySide, table } from './table.ts';
import type { Terminal } from './terminal.ts';
import { clean, cut, wrapped } from './text.ts';
import { day, instant } from './time.ts';

export function incidentReport(incident: IncidentRecord, known: readonly KnownFrom[], terminal: Terminal): string {
  const parts = [
    headline(incident, terminal),
    sideBySide(before(incident), now(incident), terminal).join('\n'),
    ...(known.length === 0 ? [] : [section('Known from', knownFromTable(known, terminal), terminal)]),
    section('Evidence', evidenceTable(incident.sighting.evidence, terminal), terminal),
    section('Times (UTC)', table(timesOf(incident), TIMES, terminal), terminal),
    visitsOf(incident, terminal),
    answerOf(incident, terminal),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function section(title: string, body: string, terminal: Terminal): string {
  return `${terminal.paint(title, 'bold')}\n${body}`;
}

function headline(incident: IncidentRecord, terminal: Terminal): string {
  const { id, status, userId, reason, mode, php } = incident;
  const what = done(incident);
  const observed = mode === 'observe' ? ' (observe mode: the session was not touched)' : '';
  return [
    `${terminal.paint(id, 'bold')}  ${status}`,
    cut(`User    ${clean(userId)}`, terminal.columns),
    `Done    ${terminal.paint(what, styleOf(what))}${observed}`,
    ...(php === undefined ? [] : [wrapped(`PHP     session: ${phpWords(php)}`, terminal.columns, 8)]),
    wrapped(`Reason  ${reason}: ${REASONS[reason]?.meaning ?? ''}`, terminal.columns, 8),
  ].join('\n');
}

function before({ baseline }: IncidentRecord): string[] {
  const lines = [...familyLines('v4', baseline.v4), ...familyLines('v6', baseline.v6)];
  return ['KNOWN BEFORE', ...(lines.length === 0 ? ['nothing'] : lines)];
}

function familyLines(name: string, { places, networks }: FamilyBaseline): string[] {
  return [
    ...places.map((place) => `${name}  ${countries(place)}  ${certainty(place)}  ${period(place)}`),
    ...networks.map((known) => `${name}  ${clean(known.network)}  ${period(known)}`),
  ];
}

function certainty({ agreed }: { readonly agreed: boolean }): string {
  return agreed ? 'certain' : 'disputed';
}

function period({ firstSeenMs, lastSeenMs }: { readonly firstSeenMs: number; readonly lastSeenMs: number }): string {
  const [first, last] = [day(firstSeenMs), day(lastSeenMs)];
  return first === last ? first : `${first}..${last}`;
}

function now({ reason, sighting, userAgent, deviceId }: IncidentRecord): string[] {
  const located = sighting.kind === 'located';
  return [
    reason === 'session_reused' ? 'THE LATE REQUEST' : 'THIS LOGIN',
    located ? `v${sighting.family}  ${placeOf(sighting)}  ${certainty(sighting)}` : whyNot(sighting),
    `Address  ${clean(sighting.address ?? 'unknown')}`,
    `Network  ${clean(located ? sighting.network : 'unknown')}`,
    ...(located && sighting.flags !== undefined ? [`Flags    ${sighting.flags.join(', ')}`] : []),
    `Browser  ${clean(userAgent ?? 'not told')}`,
    `Device   ${clean(deviceId ?? 'not told')}`,
  ];
}

interface Time {
  readonly what: string;
  readonly atMs: number;
  /** Milliseconds after the one before; null for the first. */
  readonly afterMs: number | null;
}

const TIMES: readonly Column<Time>[] = [
  { title: 'WHAT', value: ({ what }) => what },
  { title: 'WHEN', value: ({ atMs }) => instant(atMs) },
  { title: 'AFTER', value: ({ afterMs }) => (afterMs === null ? '' : `${afterMs} ms`) },
];

function timesOf(incident: IncidentRecord): Time[] {
  const all: [string, number | undefined][] = [
    ['login', incident.loginAtMs],
    ['queued', incident.queuedAtMs],
    ['decided', incident.decidedAtMs],
    ['revoked', incident.revokedAtMs],
    ['ended again', incident.endedAgain?.atMs],
    ['first refused request', incident.firstRefusedAtMs],
    ['answered', incident.resolvedAtMs],
  ];
  const known = all.flatMap(([what, atMs]) => (atMs === undefined ? [] : [{ what, atMs }]));
  known.sort((a, b) => a.atMs - b.atMs);
  return known.map((time, i) => ({ ...time, afterMs: i === 0 ? null : time.atMs - (known[i - 1]?.atMs ?? 0) }));
}

const VISITS: readonly Column<Visit>[] = [
  { title: 'WHEN (UTC)', value: ({ atMs }) => instant(atMs), min: 10 },
  { title: 'WHAT', value: ({ kind }) => kind },
  { title: 'ADDRESS', value: ({ address }) => address ?? 'unknown', min: 9 },
  { title: 'METHOD', value: ({ method }) => method, optional: true },
  { title: 'PATH', value: ({ path }) => path, min: 8 },
  { title: 'BROWSER', value: ({ userAgent }) => userAgent, min: 10, optional: true },
];

function visitsOf({ visits, visitCount }: IncidentRecord, terminal: Terminal): string {
  if (visits.length === 0) return section('Visits', 'none yet', terminal);
  const shown = visitCount > visits.length ? `, ${visits.length} kept` : '';
  return section(`Visits (${visitCount}${shown})`, table(visits, VISITS, terminal), terminal);
}

function answerOf({ status, resolvedBy, note, pending }: IncidentRecord, terminal: Terminal): string {
  if (status === 'open') return '';
  const why = note === undefined || note === '' ? '' : `: ${clean(note, 2000)}`;
  const left = pending === undefined ? '' : ' (what follows from it may not all be done: give the same answer again)';
  return section(
    'Answer',
    wrapped(`${status}, by ${clean(resolvedBy ?? 'unknown')}${why}${left}`, terminal.columns),
    terminal,
  );
}
