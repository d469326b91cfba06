/** A user's logins as a timeline of countries: in words, as a strip, and each login in a table. */

import type { HistoryEntry } from '../../desk-ports.ts';
import type { Action } from '../../domain/types.ts';
import { AddressLink, CaseLink, type Ctx, ReasonText, Scroll, Time, Untrusted } from '../kit.tsx';
import { countryList } from '../places.ts';
import { Countries } from './incident-table.tsx';

interface Run {
  readonly key: string;
  readonly countries: readonly string[];
  readonly fromMs: number;
  toMs: number;
  logins: number;
  stopped: number;
}

const keyOf = ({ countries }: Pick<HistoryEntry, 'countries'>) => countries.join('|');

/** Logins one after the other from the same countries are one run. Oldest first. */
export function runsOf(history: readonly HistoryEntry[]): Run[] {
  const runs: Run[] = [];
  for (const entry of [...history].sort((a, b) => a.atMs - b.atMs)) {
    const { atMs, countries, action } = entry;
    const key = keyOf(entry);
    let last = runs.at(-1);
    if (last?.key !== key) {
      last = { key, countries, fromMs: atMs, toMs: atMs, logins: 0, stopped: 0 };
      runs.push(last);
    }
    last.toMs = atMs;
    last.logins++;
    if (action !== 'allow') last.stopped++;
  }
  return runs;
}

/** More would be a second table. */
const RUNS_SHOWN = 12;

export function CountryTimeline({ history }: { history: readonly HistoryEntry[] }) {
  const runs = runsOf(history);
  if (runs.length === 0) return <p>No login is on record.</p>;
  return (
    <>
      <Strip history={history} />
      {runs.length > RUNS_SHOWN ? <p>The newest {RUNS_SHOWN} changes:</p> : null}
      <ol>
        {runs.slice(-RUNS_SHOWN).map(({ countries, fromMs, toMs, logins, stopped }) => (
          <li>
            {countries.length === 0 ? 'Unknown' : countryList(countries)}: {logins} {logins === 1 ? 'login' : 'logins'},{' '}
            <Time ms={fromMs} />
            {fromMs === toMs ? null : (
              <>
                {' '}
                to <Time ms={toMs} />
              </>
            )}
            {stopped === 0 ? '' : `, ${stopped} flagged or ended`}
          </li>
        ))}
      </ol>
    </>
  );
}

const ROWS_SHOWN = 8;
const [WIDTH, LABEL, ROW] = [360, 56, 18];

/** One line a country, one mark a login: a dot passed, a triangle was flagged, a cross was ended. */
function Strip({ history }: { history: readonly HistoryEntry[] }) {
  const keys = [...new Set(history.map(keyOf))].slice(0, ROWS_SHOWN);
  const times = history.map(({ atMs }) => atMs);
  const [fromMs, toMs] = [Math.min(...times), Math.max(...times)];
  const room = WIDTH - LABEL - 12;
  const x = (atMs: number) => LABEL + 6 + (toMs === fromMs ? room / 2 : ((atMs - fromMs) / (toMs - fromMs)) * room);
  const y = (row: number) => row * ROW + ROW / 2;
  return (
    <figure>
      <svg
        class="strip"
        viewBox={`0 0 ${WIDTH} ${keys.length * ROW}`}
        role="img"
        aria-label="Logins by country over time"
      >
        {keys.map((key, row) => (
          <g>
            <text x="0" y={y(row) + 4} font-size="11" fill="currentColor">
              {labelOf(key)}
            </text>
            <line x1={LABEL} x2={WIDTH} y1={y(row)} y2={y(row)} stroke="currentColor" stroke-opacity="0.25" />
          </g>
        ))}
        {history.map((entry) => {
          const row = keys.indexOf(keyOf(entry));
          return row < 0 ? null : <Mark action={entry.action} x={x(entry.atMs)} y={y(row)} />;
        })}
      </svg>
      <figcaption>
        <small>
          <Time ms={fromMs} /> to <Time ms={toMs} />. Dot: passed; triangle: flagged; cross: ended.
        </small>
      </figcaption>
    </figure>
  );
}

/** Codes as the databases gave them: letters only, however many there are. */
function labelOf(key: string): string {
  if (key === '') return 'unknown';
  const text = key.replaceAll('|', '/').replace(/[^A-Z/]/g, '?');
  return text.length > 8 ? `${text.slice(0, 7)}…` : text;
}

function Mark({ action, x, y }: { action: Action; x: number; y: number }) {
  const at = `${x.toFixed(1)} ${y.toFixed(1)}`;
  if (action === 'flag') return <path d={`M ${at} m 0 -5 l 5 9 h -10 z`} fill="currentColor" />;
  if (action === 'revoke') {
    return <path d={`M ${at} m -4 -4 l 8 8 m 0 -8 l -8 8`} stroke="currentColor" stroke-width="2.5" fill="none" />;
  }
  return <circle cx={x.toFixed(1)} cy={y.toFixed(1)} r="3" fill="currentColor" />;
}

const DONE: Readonly<Record<Action, string>> = { allow: 'passed', flag: 'flagged', revoke: 'ended' };

export function HistoryTable({ c, history }: { c: Ctx; history: readonly HistoryEntry[] }) {
  if (history.length === 0) return null;
  const titles = ['Login (UTC)', 'Country', 'Address', 'Decision', 'Reason', 'Case', 'Device', 'Browser'];
  return (
    <details>
      <summary>Each of the newest {history.length} logins</summary>
      <Scroll label="Logins">
        <table class="striped">
          <thead>
            <tr>
              {titles.map((title) => (
                <th scope="col">{title}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {history.map((entry) => (
              <HistoryRow c={c} entry={entry} />
            ))}
          </tbody>
        </table>
      </Scroll>
    </details>
  );
}

function HistoryRow({ c, entry }: { c: Ctx; entry: HistoryEntry }) {
  const { atMs, countries, address, action, reason, caseId, deviceId, userAgent } = entry;
  return (
    <tr>
      <td>
        <Time ms={atMs} />
      </td>
      <td>
        <Countries codes={countries} between=" or " />
      </td>
      <td>
        <AddressLink c={c} address={address} />
      </td>
      <td>{DONE[action]}</td>
      <td>
        <ReasonText reason={reason} brief />
      </td>
      <td>{caseId === null ? '' : <CaseLink c={c} id={caseId} />}</td>
      <td>
        <Untrusted text={deviceId} max={40} code />
      </td>
      <td>
        <Untrusted text={userAgent} max={80} />
      </td>
    </tr>
  );
}
