/** Incidents as rows: in the queue, and on the pages of a user, an address and a network. */

import type { IncidentRecord } from '../../domain/incident.ts';
import type { Sighting } from '../../domain/types.ts';
import {
  AddressLink,
  CaseLink,
  Country,
  type Ctx,
  DoneBadge,
  ReasonText,
  Scroll,
  StatusBadge,
  Time,
  UserLink,
} from '../kit.tsx';
import { comparedPlaces } from '../words.ts';

export interface IncidentTableProps {
  readonly c: Ctx;
  readonly label: string;
  readonly incidents: readonly IncidentRecord[];
  /** With a box to tick in each row, for a form around it. */
  readonly pick?: boolean;
}

export function IncidentTable({ c, label, incidents, pick = false }: IncidentTableProps) {
  return (
    <Scroll label={label}>
      <table class="striped">
        <thead>
          <tr>
            {pick ? (
              <th scope="col">
                <input type="checkbox" data-checks="case" aria-label="Pick all of this page" hidden />
                <span class="soft">Pick</span>
              </th>
            ) : null}
            {['Case', 'Login (UTC)', 'User', 'Address', 'From', 'Done', 'Status', 'Visits', 'Reason'].map((title) => (
              <th scope="col" class={title === 'Visits' ? 'number' : undefined}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {incidents.map((one) => (
            <Row c={c} incident={one} pick={pick} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Row({ c, incident, pick }: { c: Ctx; incident: IncidentRecord; pick: boolean }) {
  const { id, loginAtMs, userId, sighting, status, visitCount, reason } = incident;
  return (
    <tr>
      {pick ? (
        <td>
          <input type="checkbox" name="case" value={id} aria-label={`Pick ${id}`} />
        </td>
      ) : null}
      <th scope="row">
        <CaseLink c={c} id={id} />
      </th>
      <td>
        <Time ms={loginAtMs} />
      </td>
      <td>
        <UserLink c={c} userId={userId} max={30} />
      </td>
      <td>
        <AddressLink c={c} address={sighting.address} />
      </td>
      <td>
        <Known incident={incident} /> → <Seen sighting={sighting} />
      </td>
      <td>
        <DoneBadge incident={incident} />
      </td>
      <td>
        <StatusBadge status={status} />
      </td>
      <td class="number">{visitCount}</td>
      <td>
        <ReasonText reason={reason} brief />
      </td>
    </tr>
  );
}

function Known({ incident }: { incident: IncidentRecord }) {
  const codes = [...new Set(comparedPlaces(incident).flatMap(({ countries }) => countries))];
  return codes.length === 0 ? <span class="soft">nothing known</span> : <Countries codes={codes} between=", " />;
}

/** Countries, or why there are none. */
export function Seen({ sighting }: { sighting: Sighting }) {
  if (sighting.kind === 'located') return <Countries codes={sighting.candidates} between=" or " />;
  return <span class="soft">{sighting.why.replaceAll('_', ' ')}</span>;
}

export function Countries({ codes, between }: { codes: readonly string[]; between: string }) {
  if (codes.length === 0) return <span class="soft">unknown</span>;
  return (
    <>
      {codes.map((code, i) => (
        <>
          {i === 0 ? '' : between}
          <Country code={code} />
        </>
      ))}
    </>
  );
}
