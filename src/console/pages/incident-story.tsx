/** What happened, in order: the timeline with milliseconds, and what the holder of the session tried after it ended. */

import type { IncidentRecord, Visit } from '../../domain/incident.ts';
import { span } from '../../domain/plain-words.ts';
import { AddressLink, type Ctx, Scroll, Time, Untrusted } from '../kit.tsx';

interface Moment {
  readonly what: string;
  readonly atMs: number;
}

/** Oldest first. What did not happen (or was not noted) is left out. */
export function momentsOf(incident: IncidentRecord): Moment[] {
  const { visits } = incident;
  const all: readonly (readonly [string, number | undefined])[] = [
    [incident.reason === 'session_reused' ? 'Late request' : 'Login', incident.loginAtMs],
    ['Queued', incident.queuedAtMs],
    [incident.rechecked ? 'Decided (there was no data before)' : 'Decided', incident.decidedAtMs],
    ['Session ended (tombstone written)', incident.revokedAtMs],
    ['Ended again', incident.endedAgain?.atMs],
    ['First refused request', incident.firstRefusedAtMs],
    ['Gotcha page first seen', visits.find(({ kind }) => kind === 'gotcha')?.atMs],
    ['Gotcha page last seen', lastView(incident)],
    ['Answered', incident.resolvedAtMs],
  ];
  const known = all.flatMap(([what, atMs]) => (atMs === undefined ? [] : [{ what, atMs }]));
  return known.sort((a, b) => a.atMs - b.atMs);
}

/** Only where there was more than one. */
function lastView({ visits, lastGotchaAtMs = 0 }: IncidentRecord): number | undefined {
  const views = visits.filter(({ kind }) => kind === 'gotcha').map(({ atMs }) => atMs);
  const lastMs = Math.max(lastGotchaAtMs, ...views);
  return lastMs > (views[0] ?? lastMs) ? lastMs : undefined;
}

export function Timeline({ incident }: { incident: IncidentRecord }) {
  const moments = momentsOf(incident);
  return (
    <Scroll label="Timeline">
      <table class="striped">
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col">When (UTC)</th>
            <th scope="col" class="number">
              After the one before
            </th>
            <th scope="col" class="number">
              After the login
            </th>
          </tr>
        </thead>
        <tbody>
          {moments.map(({ what, atMs }, i) => (
            <tr>
              <th scope="row">{what}</th>
              <td>
                <Time ms={atMs} precise />
              </td>
              <td class="number">{i === 0 ? '' : gap(atMs - (moments[i - 1]?.atMs ?? atMs))}</td>
              <td class="number">{i === 0 ? '' : gap(atMs - incident.loginAtMs)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** Milliseconds while they can be read. */
function gap(ms: number): string {
  return Math.abs(ms) < 100_000 ? `${ms.toLocaleString('en')} ms` : span(ms);
}

export function Visits({ c, incident: { visits, visitCount } }: { c: Ctx; incident: IncidentRecord }) {
  if (visits.length === 0) return <p>Nothing yet.</p>;
  return (
    <>
      {visitCount > visits.length ? (
        <p>
          {visitCount} visits; the {visits.length} kept ones are the first, and the newest.
        </p>
      ) : null}
      <Scroll label="What the holder tried after">
        <table class="striped">
          <thead>
            <tr>
              {['When (UTC)', 'What', 'Address', 'Request', 'Browser'].map((title) => (
                <th scope="col">{title}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {visits.map((visit) => (
              <VisitRow c={c} visit={visit} />
            ))}
          </tbody>
        </table>
      </Scroll>
    </>
  );
}

function VisitRow({ c, visit }: { c: Ctx; visit: Visit }) {
  return (
    <tr>
      <td>
        <Time ms={visit.atMs} precise />
      </td>
      <td>{visit.kind === 'gotcha' ? 'saw the gotcha page' : 'was refused'}</td>
      <td>
        <AddressLink c={c} address={visit.address} />
      </td>
      <td>
        <Untrusted text={visit.method} max={20} code /> <Untrusted text={visit.path} max={120} code />
      </td>
      <td>
        <Untrusted text={visit.userAgent} max={120} />
      </td>
    </tr>
  );
}
