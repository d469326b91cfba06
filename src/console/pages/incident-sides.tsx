/** Both sides of the comparison, side by side: what was known of the user, and what was seen. */

import type { Child } from 'hono/jsx';
import type { IncidentRecord } from '../../domain/incident.ts';
import { span } from '../../domain/plain-words.ts';
import type { FamilyBaseline, Place } from '../../domain/types.ts';
import { AddressLink, type Ctx, NetworkLink, Time, Untrusted } from '../kit.tsx';
import { countryList, distancesOf } from '../places.ts';
import { comparedPlaces, flagWords, unlocatableWords } from '../words.ts';

export function Sides({ c, incident }: { c: Ctx; incident: IncidentRecord }) {
  const isReuse = incident.reason === 'session_reused';
  return (
    <div class="sides">
      <article>
        <h2>Known before</h2>
        <KnownFamily c={c} name="IPv4" family={incident.baseline.v4} />
        <KnownFamily c={c} name="IPv6" family={incident.baseline.v6} />
        {isUnknown(incident) ? <p>Nothing was known of this user.</p> : null}
      </article>
      <article>
        <h2>{isReuse ? 'The late request' : 'This login'}</h2>
        <Facts rows={seenRows(c, incident)} />
      </article>
    </div>
  );
}

type Row = readonly [name: string, value: Child];

export function Facts({ rows }: { rows: readonly Row[] }) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}

function isUnknown({ baseline: { v4, v6 } }: IncidentRecord): boolean {
  return [v4, v6].every(({ places, networks }) => places.length + networks.length === 0);
}

function KnownFamily({ c, name, family }: { c: Ctx; name: string; family: FamilyBaseline }) {
  if (family.places.length + family.networks.length === 0) return null;
  return (
    <>
      <h3>{name}</h3>
      <Facts
        rows={[
          ...family.places.map(
            (place): Row => [
              certainty(place),
              <>
                {countryList(place.countries)}
                <Period of={place} />
              </>,
            ],
          ),
          ...family.networks.map(
            (known): Row => [
              'Network',
              <>
                <NetworkLink c={c} network={known.network} />
                <Period of={known} />
              </>,
            ],
          ),
        ]}
      />
    </>
  );
}

function certainty({ agreed }: Pick<Place, 'agreed'>): string {
  return agreed ? 'Certain' : 'Disputed';
}

export function Period({ of }: { of: { readonly firstSeenMs: number; readonly lastSeenMs: number } }) {
  return (
    <small>
      {' '}
      since <Time ms={of.firstSeenMs} />
      {of.firstSeenMs === of.lastSeenMs ? null : (
        <>
          , last <Time ms={of.lastSeenMs} />
        </>
      )}
    </small>
  );
}

function seenRows(c: Ctx, incident: IncidentRecord): Row[] {
  const { sighting, userAgent, deviceId } = incident;
  const located = sighting.kind === 'located';
  const flags = located && (sighting.flags?.length ?? 0) > 0;
  return [
    ['Address', <AddressLink c={c} address={sighting.address} />],
    ['Network', located ? <NetworkLink c={c} network={sighting.network} /> : 'unknown'],
    located ? [certainty(sighting), countryList(sighting.candidates)] : ['Not located', unlocatableWords(sighting.why)],
    ...(flags ? [['Flags', flagWords(sighting)] as Row] : []),
    ['Device', <Untrusted text={deviceId} max={128} code />],
    ['Browser', <Untrusted text={userAgent} max={300} />],
    ...apartRows(incident),
  ];
}

/** How far from what was known, in time and on the map. */
function apartRows(incident: IncidentRecord): Row[] {
  const places = comparedPlaces(incident);
  const lastSeenMs = Math.max(...places.map((place) => place.lastSeenMs));
  const rows: Row[] = [];
  if (places.length > 0) {
    const apartMs = incident.loginAtMs - lastSeenMs;
    const words = apartMs >= 0 ? `${span(apartMs)} after` : `${span(-apartMs)} before`;
    rows.push(['Time apart', `${words} the user was last seen where they are known`]);
  }
  const distances = distancesOf(places, incident.sighting);
  if (distances.length === 0) return rows;
  const lines = distances.map(({ km, from, to, between }) => (
    <li>
      {from} to {to}: about {km.toLocaleString('en')} km <small>(from {between})</small>
    </li>
  ));
  return [...rows, ['Distance', <ul>{lines}</ul>]];
}
