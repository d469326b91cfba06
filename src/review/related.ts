import type { Desk, IncidentQuery } from '../desk-ports.ts';
import { networkOfText } from '../domain/address.ts';
import type { IncidentRecord } from '../domain/incident.ts';
import type { ReviewDeps } from '../review.ts';

/** Pages looked at for one of the three, at most: a list may hold many rows that do not match. */
const MAX_PAGES = 5;

/** The other incidents of the same user, address and network, newest first, without this one. */
export async function related(
  incidents: ReviewDeps['incidents'],
  incident: IncidentRecord,
  limit: number,
): ReturnType<Desk['related']> {
  const { address } = incident.sighting;
  const network = networkOfText(address);
  const others = (query: IncidentQuery | null) => (query === null ? [] : pick(incidents, incident.id, query, limit));
  const [ofUser, ofAddress, ofNetwork] = await Promise.all([
    others({ userId: incident.userId }),
    others(address === null ? null : { address }),
    others(network === null ? null : { network }),
  ]);
  return { user: ofUser, address: ofAddress, network: ofNetwork };
}

async function pick(
  incidents: ReviewDeps['incidents'],
  without: string,
  query: IncidentQuery,
  limit: number,
): Promise<IncidentRecord[]> {
  const found: IncidentRecord[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MAX_PAGES; page++) {
    const next = await incidents.list(query, limit + 1, cursor);
    found.push(...next.incidents.filter(({ id }) => id !== without));
    cursor = next.cursor;
    if (cursor === null || found.length >= limit) break;
  }
  return found.slice(0, limit);
}
