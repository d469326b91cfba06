import { networkOfText } from '../domain/address.ts';
import type { Incident, IncidentStatus } from '../domain/incident.ts';
import type { Sighting } from '../domain/types.ts';
import type { Keys } from './keys.ts';

/**
 * The lists that an incident is on: sorted sets of case numbers, scored by the time of the decision, so that a cursor into
 * one of them is a cursor into each. Whatever the desk can narrow its queue to is one of these.
 */
export function listsOf(keys: Keys, incident: Incident, status: IncidentStatus): string[] {
  return [
    keys.incidentsAll(),
    keys.incidentsByStatus(status),
    ...ownLists(keys, incident),
    ...addedLists(keys, incident),
  ];
}

/** Those that release 0.1 kept as well. */
function ownLists(keys: Keys, { userId, sighting }: Incident): string[] {
  // Those whose address nobody knows have a list too.
  return [keys.incidentsByUser(userId), keys.incidentsByAddress(sighting.address ?? 'unknown')];
}

export function addedLists(keys: Keys, { reason, action, sighting }: Incident): string[] {
  return [keys.incidentsByReason(reason), keys.incidentsByAction(action), ...placeLists(keys, sighting)];
}

function placeLists(keys: Keys, sighting: Sighting): string[] {
  const network = networkOn(sighting);
  const countries = sighting.kind === 'located' ? sighting.candidates : [];
  return [
    ...(network === null ? [] : [keys.incidentsByNetwork(network)]),
    ...countries.map((country) => keys.incidentsByCountry(country)),
  ];
}

/** An address whose country nobody knows has neighbours all the same. */
export function networkOn(sighting: Sighting): string | null {
  return sighting.kind === 'located' ? sighting.network : networkOfText(sighting.address);
}
