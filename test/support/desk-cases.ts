/** What a desk in memory is filled with. */
import type { HistoryEntry } from '../../src/desk-ports.ts';
import type { IncidentRecord } from '../../src/domain/incident.ts';
import type { LoginEntry } from '../../src/ports.ts';
import type { MemoryDesk } from './desk.ts';
import { anIncident } from './incidents.ts';

export const NOON = Date.UTC(2026, 2, 1, 12);

export function addCase(desk: MemoryDesk, over: Partial<IncidentRecord> = {}): IncidentRecord {
  const incident: IncidentRecord = {
    ...anIncident({ decidedAtMs: NOON, ...over }),
    status: 'open',
    visitCount: 0,
    visits: [],
    ...over,
  };
  desk.cases.set(incident.id, incident);
  return incident;
}

export function aLogin(lid: string, over: Partial<LoginEntry> = {}): LoginEntry {
  return {
    lid,
    handle: `handle-of-${lid}`.padEnd(43, '0'),
    userId: 'alice',
    loginAtMs: NOON,
    endsAtMs: NOON + 86_400_000,
    address: '81.2.69.142',
    countries: ['GB'],
    userAgent: 'Firefox/140',
    deviceId: 'laptop',
    ...over,
  };
}

export function aVisit(lid: string, over: Partial<HistoryEntry> = {}): HistoryEntry {
  return {
    lid,
    atMs: NOON,
    address: '81.2.69.142',
    network: '81.2.69.0/24',
    countries: ['GB'],
    action: 'allow',
    reason: 'same_country',
    caseId: null,
    deviceId: 'laptop',
    userAgent: 'Firefox/140',
    ...over,
  };
}
