/** An address, or a network: everything it did, whom it touched, what the sources say, and what the lists say of it. */

import type { Hono } from 'hono';
import type { IncidentQuery } from '../../desk-ports.ts';
import { parseAddress } from '../../domain/address.ts';
import type { IncidentRecord } from '../../domain/incident.ts';
import type { ListEntry, ListKind } from '../../domain/lists.ts';
import { entriesForAddress, entriesForNetwork } from '../covering.ts';
import { readNetwork } from '../incident-filter.ts';
import {
  addressPath,
  CaseLink,
  type ConsoleEnv,
  type Ctx,
  NetworkLink,
  networkPath,
  Pager,
  page,
  refusal,
  requireRole,
  Time,
  UserLink,
} from '../kit.tsx';
import { EvidenceTable } from './evidence.tsx';
import { Countries, IncidentTable, Seen } from './incident-table.tsx';
import { AddEntry, addEntry, Entries, removeEntry } from './list-parts.tsx';

const PAGE_SIZE = 20;
/** Users, networks and the newest evidence are those of so many of the newest incidents. */
const LOOKED_AT = 100;

/** What the pages of an address and of a network differ in. */
interface Subject {
  readonly kind: Extract<ListKind, 'address' | 'network'>;
  readonly value: string;
  readonly path: string;
  readonly query: IncidentQuery;
  entries(all: readonly ListEntry[], newest: IncidentRecord | null): readonly ListEntry[];
}

type Read = (c: Ctx) => Subject | null;

const readAddress: Read = (c) => {
  const parsed = parseAddress(c.req.query('address'));
  if (!parsed.ok) return null;
  const address = parsed.ip;
  return {
    kind: 'address',
    value: address,
    path: addressPath(address),
    query: { address },
    entries: (all, newest) => entriesForAddress(all, address, newest?.sighting ?? null),
  };
};

const readBlock: Read = (c) => {
  const network = readNetwork(c.req.query('network') ?? '');
  if (network === null) return null;
  return {
    kind: 'network',
    value: network,
    path: networkPath(network),
    query: { network },
    entries: (all, newest) => entriesForNetwork(all, network, newest?.sighting ?? null),
  };
};

export function addressRoutes(app: Hono<ConsoleEnv>): void {
  routes(app, '/address', readAddress, 'That is no IPv4 or IPv6 address.');
}

export function networkRoutes(app: Hono<ConsoleEnv>): void {
  routes(app, '/network', readBlock, 'Give a /24 (IPv4) or a /48 (IPv6): incidents are kept by those.');
}

function routes(app: Hono<ConsoleEnv>, path: string, read: Read, problem: string): void {
  const use = (then: (c: Ctx, subject: Subject) => Promise<Response>) => async (c: Ctx) => {
    const subject = read(c);
    return subject === null ? refusal(c, 400, problem) : then(c, subject);
  };
  app.get(path, use(show));
  app.post(
    `${path}/list`,
    requireRole('analyst'),
    use((c, { kind, value, path }) => addEntry(c, kind, value, path)),
  );
  app.post(
    `${path}/unlist`,
    requireRole('analyst'),
    use((c, { path }) => removeEntry(c, path)),
  );
}

/** `/address?address=..` -> `/address/list?address=..` */
function actPath({ path }: Subject, act: 'list' | 'unlist'): string {
  return path.replace('?', `/${act}?`);
}

async function show(c: Ctx, subject: Subject): Promise<Response> {
  const { desk } = c.var;
  const cursor = c.req.query('cursor') ?? null;
  const [shown, looked, all] = await Promise.all([
    desk.incidents(subject.query, PAGE_SIZE, cursor),
    desk.incidents(subject.query, LOOKED_AT, null),
    desk.lists(),
  ]);
  const newest = looked.incidents[0] ?? null;
  const title = subject.kind === 'address' ? 'Address' : 'Network';
  const next = shown.cursor === null ? null : `${subject.path}&${new URLSearchParams({ cursor: shown.cursor })}`;
  return page(
    c,
    { title: `${title} ${subject.value}` },
    <>
      <h1>
        {title} <span class="code">{subject.value}</span>
      </h1>
      <Summary c={c} subject={subject} incidents={looked.incidents} more={looked.cursor !== null} />
      <h2>On the lists</h2>
      <Entries c={c} entries={subject.entries(all, newest)} action={actPath(subject, 'unlist')} />
      <AddEntry c={c} action={actPath(subject, 'list')} what={`this ${subject.kind}`} kind={subject.kind} />
      <h2>Incidents</h2>
      {shown.incidents.length === 0 ? (
        <p>None on record.</p>
      ) : (
        <IncidentTable c={c} label="Incidents" incidents={shown.incidents} />
      )}
      <Pager c={c} next={next} first={cursor === null ? null : subject.path} />
      <Users c={c} incidents={looked.incidents} />
      {newest === null ? null : <NewestEvidence c={c} incident={newest} />}
    </>,
  );
}

interface SummaryProps {
  readonly c: Ctx;
  readonly subject: Subject;
  readonly incidents: readonly IncidentRecord[];
  readonly more: boolean;
}

function Summary({ c, subject, incidents, more }: SummaryProps) {
  const newest = incidents[0];
  const oldest = incidents.at(-1);
  if (newest === undefined || oldest === undefined) return <p>No incident is on record.</p>;
  const { sighting } = newest;
  const users = new Set(incidents.map(({ userId }) => userId)).size;
  const open = incidents.filter(({ status }) => status === 'open').length;
  const network = subject.kind === 'address' && sighting.kind === 'located' ? sighting.network : null;
  return (
    <p>
      {more ? `The newest ${incidents.length} incidents` : plural(incidents.length, 'incident')}
      {`, ${open} open, of ${plural(users, 'user')}, `}
      from <Time ms={oldest.loginAtMs} /> to <Time ms={newest.loginAtMs} />. Seen in: <Seen sighting={sighting} />.
      {network === null ? null : (
        <>
          {' '}
          Its network: <NetworkLink c={c} network={network} />
        </>
      )}
    </p>
  );
}

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;

interface Touched {
  count: number;
  lastAtMs: number;
  readonly countries: Set<string>;
}

function Users({ c, incidents }: { c: Ctx; incidents: readonly IncidentRecord[] }) {
  const touched = new Map<string, Touched>();
  for (const { userId, loginAtMs, sighting } of incidents) {
    const one = touched.get(userId) ?? { count: 0, lastAtMs: 0, countries: new Set<string>() };
    one.count++;
    one.lastAtMs = Math.max(one.lastAtMs, loginAtMs);
    for (const code of sighting.kind === 'located' ? sighting.candidates : []) one.countries.add(code);
    touched.set(userId, one);
  }
  if (touched.size === 0) return null;
  return (
    <>
      <h2>Users touched</h2>
      <p>
        Of incidents only: whoever logged in from here and was let in stands on no list of addresses. Their own pages
        show it.
      </p>
      <ul>
        {[...touched].map(([userId, { count, lastAtMs, countries }]) => (
          <li>
            <UserLink c={c} userId={userId} />: {plural(count, 'incident')}, the last <Time ms={lastAtMs} /> (
            <Countries codes={[...countries]} between=", " />)
          </li>
        ))}
      </ul>
    </>
  );
}

function NewestEvidence({ c, incident }: { c: Ctx; incident: IncidentRecord }) {
  return (
    <>
      <h2>What the sources said last</h2>
      <p>
        On <CaseLink c={c} id={incident.id} />, <Time ms={incident.decidedAtMs} />:
      </p>
      <EvidenceTable c={c} incident={incident} />
    </>
  );
}
