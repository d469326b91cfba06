/** Incidents without a login: each with a case number of its own, seen in France from a user of Britain. */
import { randomBytes } from 'node:crypto';
import { caseOf } from '../../src/case-of.ts';
import type { Incident } from '../../src/domain/incident.ts';
import type { Located } from '../../src/domain/types.ts';
import { loginId } from '../../src/web/handle.ts';

export function locatedAt(address: string, network: string, ...candidates: string[]): Located {
  const evidence = candidates.map((country) => ({
    database: 'test',
    builtOn: '2026-11-01',
    country,
    network,
  }));
  return { kind: 'located', address, family: 4, network, candidates, agreed: candidates.length === 1, evidence };
}

export const FRANCE = locatedAt('2.125.160.217', '2.125.160.0/24', 'FR');

export function anIncident(over: Partial<Incident> = {}): Incident {
  const userId = over.userId ?? 'alice';
  const lid = over.lid ?? loginId(userId);
  const atMs = over.decidedAtMs ?? 1_700_000_000_000;
  const place = { countries: ['GB'], agreed: true, firstSeenMs: atMs - 1000, lastSeenMs: atMs - 1000 };
  const network = { network: '81.2.69.0/24', firstSeenMs: atMs - 1000, lastSeenMs: atMs - 1000 };
  return {
    id: caseOf(lid),
    lid,
    handle: randomBytes(32).toString('base64url'),
    userId,
    action: 'revoke',
    reason: 'country_changed',
    mode: 'enforce',
    outcome: 'revoked',
    baseline: { v4: { places: [place], networks: [network] }, v6: { places: [], networks: [] } },
    sighting: FRANCE,
    userAgent: 'ThiefBrowser/6.6',
    loginAtMs: atMs,
    queuedAtMs: atMs,
    decidedAtMs: atMs,
    revokedAtMs: atMs,
    ...over,
  };
}
