import type { Redis } from 'ioredis';
import type { Desk } from './desk-ports.ts';
import type { Clock, Log } from './ports.ts';
import { waitingJobs } from './queue/waiting-jobs.ts';
import { redisAuditTrail } from './redis/audit-trail.ts';
import { redisCounters } from './redis/counters.ts';
import { redisEraser } from './redis/eraser.ts';
import { redisHistory } from './redis/history.ts';
import { type Keys, LOGIN_QUEUE, REGISTRY_QUEUE } from './redis/keys.ts';
import { forgetUser, holdingsOf, type PrivacyDeps } from './review/privacy.ts';

type Known = Pick<PrivacyDeps, 'sessions' | 'registry' | 'baselines' | 'lists' | 'incidents' | 'audit'>;

interface PrivacyOptions {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Log;
}

/** The desk's part that answers for one user: see docs/privacy.md. */
export function openPrivacy(
  { redis, keys, clock, log }: PrivacyOptions,
  known: Known,
): Pick<Desk, 'holdings' | 'forget'> {
  const queues = { queues: [LOGIN_QUEUE, REGISTRY_QUEUE], prefix: keys.queuePrefix };
  const deps: PrivacyDeps = {
    ...known,
    clock,
    history: redisHistory(redis, keys, 0),
    trail: redisAuditTrail(redis, keys),
    eraser: redisEraser(redis, keys),
    jobs: waitingJobs(redis, queues, { log, counters: redisCounters(redis, keys) }),
  };
  return {
    holdings: (userId) => holdingsOf(deps, userId),
    forget: (userId, why, { by }) => forgetUser(deps, userId, { by, why }),
  };
}
