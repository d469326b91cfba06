import type { Redis } from 'ioredis';
import { SETTLED_AS, SETTLED_BY } from '../domain/registry.ts';
import type { FindingOutcome, RegistryFindings } from '../ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const finding = loadScript('finding-3');

export function redisRegistryFindings(redis: Redis, keys: Keys, keepMs: number): RegistryFindings {
  return {
    async write(caseId, found, closeNote) {
      const where = [keys.incident(caseId), keys.incidentsByStatus('open'), keys.incidentsByStatus(SETTLED_AS)];
      const status = closeNote === null ? '' : SETTLED_AS;
      const times = [String(found.atMs), String(keepMs)];
      const args = [caseId, JSON.stringify(found), status, SETTLED_BY, closeNote ?? '', ...times];
      return (await runScript(redis, finding, where, args)) as FindingOutcome;
    },
  };
}
