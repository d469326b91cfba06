import type { Redis } from 'ioredis';
import { SETTLED_BY } from '../domain/registry.ts';
import type { FindingOutcome, RegistryFindings } from '../ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const finding = loadScript('finding-3');

/** What closes an incident that nobody has to look at. It is an analyst's word too; `resolvedBy` tells them apart. */
const CLOSED = 'dismissed';

export function redisRegistryFindings(redis: Redis, keys: Keys, keepMs: number): RegistryFindings {
  return {
    async write(caseId, found, closeNote) {
      const where = [keys.incident(caseId), keys.incidentsByStatus('open'), keys.incidentsByStatus(CLOSED)];
      const status = closeNote === null ? '' : CLOSED;
      const times = [String(found.atMs), String(keepMs)];
      const args = [caseId, JSON.stringify(found), status, SETTLED_BY, closeNote ?? '', ...times];
      return (await runScript(redis, finding, where, args)) as FindingOutcome;
    },
  };
}
