/** Can the workers do their work: queues, databases, the workers themselves, and what could not be checked. */

import type { Child } from 'hono/jsx';
import type { QueueDepth, WorkerStatus } from '../../desk-ports.ts';
import { span } from '../../domain/plain-words.ts';
import type { UnlocatableWhy } from '../../domain/types.ts';
import type { SourceStatus } from '../../ports.ts';
import { Scroll, Time, Untrusted } from '../kit.tsx';
import { number, plural, unlocatableWords } from '../words.ts';

/** Address blocks change hands every week: see `session-bouncer doctor`, which warns from the same age on. */
const OLD_DAYS = 45;

interface TableProps {
  readonly label: string;
  /** Those that end in `#` are numbers. */
  readonly titles: readonly string[];
  readonly children?: Child;
}

function Table({ label, titles, children }: TableProps) {
  return (
    <Scroll label={label}>
      <table class="striped">
        <thead>
          <tr>
            {titles.map((title) => (
              <th scope="col" class={title.endsWith('#') ? 'number' : undefined}>
                {title.replace(/#$/, '')}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </Scroll>
  );
}

export function Queues({ queues }: { queues: readonly QueueDepth[] }) {
  if (queues.length === 0) return <p>None is known.</p>;
  return (
    <Table label="Queues" titles={['Queue', 'Waiting#', 'In hand#', 'Later#', 'Failed#', 'Oldest waits#']}>
      {queues.map(({ name, waiting, active, delayed, failed, lagMs }) => (
        <tr>
          <th scope="row" class="code">
            {name}
          </th>
          {[waiting, active, delayed, failed].map((count) => (
            <td class="number">{number(count)}</td>
          ))}
          <td class="number">{lagMs === null ? 'nothing waits' : span(lagMs)}</td>
        </tr>
      ))}
    </Table>
  );
}

interface SeenSource {
  readonly source: SourceStatus;
  readonly hosts: Set<string>;
}

/** The same file on several workers is one row; two ages of it are two. */
function sourcesOf(workers: readonly WorkerStatus[]): SeenSource[] {
  const found = new Map<string, SeenSource>();
  for (const { host, sources } of workers) {
    for (const source of sources) {
      const key = JSON.stringify([source.database, source.origin, source.builtOn, source.ok, source.refused]);
      const seen = found.get(key) ?? { source, hosts: new Set<string>() };
      seen.hosts.add(host);
      found.set(key, seen);
    }
  }
  return [...found.values()];
}

export function Databases({ workers }: { workers: readonly WorkerStatus[] }) {
  const sources = sourcesOf(workers);
  if (sources.length === 0) return <p>No worker tells of a database.</p>;
  return (
    <Table label="Databases" titles={['Database', 'Role', 'Built on', 'Age', 'In use', 'On']}>
      {sources.map(({ source, hosts }) => (
        <tr>
          <th scope="row">
            <Untrusted text={source.database} max={80} />
          </th>
          <td>{source.role ?? 'unknown'}</td>
          <td>{source.builtOn ?? 'unknown'}</td>
          <td>
            <Age source={source} />
          </td>
          <td>
            <InUse source={source} />
          </td>
          <td>
            <Untrusted text={[...hosts].join(', ')} max={120} />
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Age({ source: { ageDays, role } }: { source: SourceStatus }) {
  // The operator's own list does not age.
  if (role === 'override') return <>your own word</>;
  if (ageDays === null) return <>unknown</>;
  const age = plural(ageDays, 'day');
  return ageDays > OLD_DAYS ? <span class="badge flag">{age}: old</span> : age;
}

function InUse({ source: { ok, problem, refused } }: { source: SourceStatus }) {
  if (!ok) {
    return (
      <>
        <span class="badge revoke">no</span> <Untrusted text={problem} max={200} />
      </>
    );
  }
  if (refused === undefined) return <>yes</>;
  return (
    <>
      <span class="badge flag">a newer file was refused</span> <Untrusted text={refused} max={200} />
    </>
  );
}

export function WorkerTable({ workers }: { workers: readonly WorkerStatus[] }) {
  if (workers.length === 0) return <p>None was heard of lately. Logins wait in the queue until one is started.</p>;
  return (
    <Table label="Workers" titles={['Host', 'Process#', 'Version', 'Mode', 'Since (UTC)', 'Heard of (UTC)']}>
      {workers.map(({ host, pid, version, mode, startedAtMs, seenAtMs }) => (
        <tr>
          <th scope="row">
            <Untrusted text={host} max={80} />
          </th>
          <td class="number">{pid}</td>
          <td>{version}</td>
          <td>
            <span class={`badge ${mode === 'observe' ? 'flag' : ''}`}>{mode}</span>
          </td>
          <td>
            <Time ms={startedAtMs} />
          </td>
          <td>
            <Time ms={seenAtMs} />
          </td>
        </tr>
      ))}
    </Table>
  );
}

/** Of the running totals: since they were begun, not of the period. */
export function NotChecked({ totals }: { totals: Readonly<Record<string, number>> }) {
  const causes = Object.entries(totals)
    .filter(([name, total]) => name.startsWith('why:') && total > 0)
    .sort(([, a], [, b]) => b - a);
  if (causes.length === 0) return <p>Every login so far could be placed in a country.</p>;
  return (
    <>
      <p>Since the counting began, of {plural(totals.logins ?? 0, 'login')}:</p>
      <ul>
        {causes.map(([name, total]) => (
          <li>
            {number(total)}: {unlocatableWords(name.slice('why:'.length) as UnlocatableWhy)}
          </li>
        ))}
      </ul>
    </>
  );
}
