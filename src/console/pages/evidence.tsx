/** Each source's word about an address, as it was when the login was decided. */

import type { IncidentRecord } from '../../domain/incident.ts';
import type { Evidence } from '../../domain/types.ts';
import { Country, type Ctx, NetworkLink, Scroll, Time, Untrusted } from '../kit.tsx';
import { ageThen, settlementWords } from '../words.ts';

export function EvidenceTable({ c, incident }: { c: Ctx; incident: IncidentRecord }) {
  const { evidence } = incident.sighting;
  if (evidence.length === 0) return <p>No source was asked, or none had anything to say.</p>;
  return (
    <>
      <Scroll label="Evidence">
        <table class="striped">
          <thead>
            <tr>
              {['Source', 'Built on', 'Age then', 'Country', 'Its network', 'Operator', 'Place', 'Note'].map(
                (title) => (
                  <th scope="col">{title}</th>
                ),
              )}
            </tr>
          </thead>
          <tbody>
            {evidence.map((one) => (
              <Row c={c} evidence={one} atMs={incident.decidedAtMs} />
            ))}
          </tbody>
        </table>
      </Scroll>
      <Registry incident={incident} />
    </>
  );
}

function Row({ c, evidence, atMs }: { c: Ctx; evidence: Evidence; atMs: number }) {
  const { database, builtOn, country, network, asn, holder, note, flags = [] } = evidence;
  return (
    <tr>
      <th scope="row">
        <Untrusted text={database} max={80} />
      </th>
      <td>{builtOn === null ? 'unknown' : <Untrusted text={builtOn} max={20} />}</td>
      <td>{ageThen(builtOn, atMs) ?? 'unknown'}</td>
      <td>{country === null ? 'none' : <Country code={country} />}</td>
      <td>{network?.includes('/') ? <NetworkLink c={c} network={network} /> : <Range text={network} />}</td>
      <td>
        {asn === undefined ? '' : `AS${asn} `}
        {holder === undefined ? '' : <Untrusted text={holder} max={80} />}
      </td>
      <td>{placeWords(evidence)}</td>
      <td>
        {note === undefined ? '' : <Untrusted text={note} max={80} />} {flags.join(', ')}
      </td>
    </tr>
  );
}

/** `first - last`, as registries write what is no CIDR block. */
function Range({ text }: { text: string | null }) {
  return text === null ? <>none</> : <Untrusted text={text} max={90} code />;
}

/** e.g. `58.42, 15.62 within 76 km` */
function placeWords({ latitude, longitude, radiusKm }: Evidence): string {
  if (latitude === undefined || longitude === undefined) return '';
  const point = `${latitude.toFixed(2)}, ${longitude.toFixed(2)}`;
  return radiusKm === undefined ? point : `${point} within ${radiusKm} km`;
}

function Registry({ incident: { registry } }: { incident: IncidentRecord }) {
  if (registry === undefined) return null;
  return (
    <p>
      The address registry was asked at <Time ms={registry.atMs} />: {settlementWords(registry.settlement)}.
    </p>
  );
}
