/** What an outsider may write, wherever one may write: for pages that a real browser opens. */
import type { Redis } from 'ioredis';
import { openDesk } from '../../src/desk.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { anIncident, FRANCE } from './incidents.ts';
import { captureLog, release } from './index.ts';

/** Says so by a dialog if it ever runs. */
export const HOSTILE =
  '"><script>alert(1)</script><img src=x onerror=alert(2)> \' onmouseover=alert(3) javascript:alert(4) \u202e\u2066\u200b\u001b[31m ' +
  "=cmd|'/C calc'!A0 {{7*7}} </title></textarea><svg/onload=alert(5)>";
const LONG = HOSTILE + 'A'.repeat(10_000);
const DAY_MS = 86_400_000;

/** An incident of a user with such a name, in all of whose fields it stands, with visits, a list entry and an answer. */
export async function addHostile(redis: Redis, prefix: string): Promise<{ readonly caseId: string; user: string }> {
  const keys = keysFor(prefix);
  const user = HOSTILE.slice(0, 200);
  const desk = openDesk({ redis, keys, clock: Date.now, log: captureLog() });
  release(() => desk.close());
  const incidents = redisIncidents(redis, keys, DAY_MS);
  const words = { database: LONG, builtOn: HOSTILE, country: HOSTILE, network: LONG, note: LONG, holder: LONG };
  const incident = anIncident({
    userId: user,
    decidedAtMs: Date.now(),
    loginAtMs: Date.now(),
    userAgent: LONG,
    deviceId: LONG,
    sighting: {
      ...FRANCE,
      candidates: ['FR', HOSTILE],
      evidence: FRANCE.evidence.map((one) => ({ ...one, ...words })),
    },
  });
  await incidents.record([incident]);
  for (const kind of ['refused', 'gotcha'] as const) {
    const from = { address: HOSTILE, userAgent: LONG, method: LONG, path: LONG };
    await incidents.visit(incident.id, { atMs: Date.now(), kind, ...from });
  }
  const actor = { by: HOSTILE.slice(0, 120), role: 'admin' } as const;
  await desk.addToList({ list: 'allow', kind: 'user', value: user, why: HOSTILE, expiresAtMs: null }, actor);
  await desk.answer(incident.id, { disposition: 'dismissed', note: HOSTILE }, actor);
  return { caseId: incident.id, user };
}
