/** An incident as the worker would record it. */
import { caseOf } from '../../src/case-of.ts';
import type { Incident, IncidentRecord } from '../../src/domain/incident.ts';

export const FORBIDDEN = { lid: 'lid-never-told', handle: 'handle-never-told', agent: 'agent-never-told' };

export function incidentOf(userId: string, over: Partial<Incident> = {}): Incident {
  const lid = over.lid ?? `${FORBIDDEN.lid}-${userId}`.padEnd(38, '0');
  const atMs = over.decidedAtMs ?? Date.now();
  const place = { countries: ['GB'], agreed: true, firstSeenMs: atMs - 9e8, lastSeenMs: atMs - 9e8 };
  return {
    id: caseOf(lid),
    lid,
    handle: FORBIDDEN.handle.padEnd(43, '0'),
    userId,
    action: 'revoke',
    reason: 'country_changed',
    mode: 'enforce',
    outcome: 'revoked',
    baseline: { v4: { places: [place], networks: [] }, v6: { places: [], networks: [] } },
    sighting: {
      kind: 'located',
      address: '105.112.10.20',
      family: 4,
      network: '105.112.10.0/24',
      candidates: ['NG'],
      agreed: true,
      evidence: [],
    },
    userAgent: `${FORBIDDEN.agent} <script>alert(1)</script> Firefox/140 (Windows NT 10.0)`,
    loginAtMs: atMs - 500,
    queuedAtMs: atMs - 400,
    decidedAtMs: atMs,
    revokedAtMs: atMs,
    ...over,
  };
}

export function recordOf(userId: string, over: Partial<Incident> = {}): IncidentRecord {
  return { ...incidentOf(userId, over), status: 'open', visitCount: 0, visits: [] };
}
