import { describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { caseOf } from '../../src/case-of.ts';
import { type DetectDeps, detect } from '../../src/detect.ts';
import type { Incident } from '../../src/domain/incident.ts';
import { DEFAULT_POLICY } from '../../src/domain/policy.ts';
import type { Located, LoginEvent, Sighting } from '../../src/domain/types.ts';
import type { Locator } from '../../src/ports.ts';
import { redisBaselines } from '../../src/redis/baselines.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { type Keys, keysFor } from '../../src/redis/keys.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { redisUndo } from '../../src/redis/undo.ts';
import { captureLog, connect, testPrefix } from '../support/index.ts';

const NOW = Date.now();
let serial = 0;

/** `10.<n>` style names are not needed: each country has made-up networks, each address its own /24. */
function located(address: string, countries: string[], agreed = countries.length === 1): Located {
  const network = `${address.split('.').slice(0, 3).join('.')}.0/24`;
  return { kind: 'located', address, family: 4, network, candidates: countries, agreed, evidence: [] };
}

const ATLAS: Record<string, Sighting> = {
  '1.1.1.1': located('1.1.1.1', ['GB']),
  '1.1.1.9': located('1.1.1.9', ['GB']),
  '1.1.2.1': located('1.1.2.1', ['GB']),
  '2.2.2.2': located('2.2.2.2', ['FR']),
  '3.3.3.3': located('3.3.3.3', ['DE', 'NL']),
  '9.9.9.9': { kind: 'unlocatable', why: 'no_data', address: '9.9.9.9', evidence: [] },
};
const locator: Locator = {
  locate: (address) => ATLAS[address ?? ''] ?? { kind: 'unlocatable', why: 'no_address', address: null, evidence: [] },
  sources: () => [],
};

function login(userId: string, address: string | null, overrides: Partial<LoginEvent> = {}): LoginEvent {
  serial += 1;
  const lid = `lid-${String(serial).padStart(18, '0')}`;
  return { lid, handle: lid.padEnd(43, 'h'), userId, address, loginAtMs: NOW + serial, ...overrides };
}

interface World {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly deps: DetectDeps;
  readonly incidents: Incident[];
  run(batch: LoginEvent[], deps?: Partial<DetectDeps>, startedBefore?: boolean): Promise<readonly LoginEvent[]>;
  countries(userId: string): Promise<string[]>;
}

function world(overrides: Partial<DetectDeps> = {}): World {
  const redis = connect();
  const keys = keysFor(testPrefix());
  const seen: Incident[] = [];
  const deps: DetectDeps = {
    locator,
    baselines: redisBaselines(redis, keys, DEFAULT_POLICY.baselineTtlMs, captureLog()),
    sessions: redisSessions(redis, keys, 1e7),
    incidents: redisIncidents(redis, keys, 1e9),
    counters: redisCounters(redis, keys),
    policy: DEFAULT_POLICY,
    mode: 'enforce',
    clock: () => NOW + 1e6,
    caseOf: (lid) => `CASE-${lid}`,
    onIncident: (incident) => seen.push(incident),
    ...overrides,
  };
  return {
    redis,
    keys,
    deps,
    incidents: seen,
    run: async (batch, more = {}, startedBefore = false) => {
      const context = { jobId: `job-${++serial}`, queuedAtMs: NOW, startedBefore };
      return (await detect(batch, context, { ...deps, ...more })).failed;
    },
    async countries(userId) {
      const [stored] = await deps.baselines.load([userId]);
      return (stored?.baseline.v4.places ?? []).flatMap((place) => place.countries).sort();
    },
  };
}

async function stateOf({ redis, keys }: World, one: LoginEvent): Promise<string> {
  const loaded = await guardedSessions(redis, keys).load(one.handle);
  return loaded.kind === 'tombstone' ? loaded.tombstone.kind : loaded.kind;
}

async function store({ redis, keys }: World, one: LoginEvent): Promise<void> {
  const head = { renewedAtMs: NOW, endsAtMs: NOW + 1e9, birth: 'b'.repeat(22), lid: one.lid, movedFrom: '' };
  await guardedSessions(redis, keys).save(one.handle, true, head, { cookie: {} }, 1e6);
}

describe('detect', () => {
  test('logins of one user in one batch are decided one after the other', async () => {
    const w = world();
    const batch = [login('a', '1.1.1.1'), login('a', '2.2.2.2'), login('a', '1.1.2.1'), login('b', '2.2.2.2')];
    for (const one of batch) await store(w, one);
    expect(await w.run(batch)).toEqual([]);
    expect(await Promise.all(batch.map((one) => stateOf(w, one)))).toEqual(['live', 'revoked', 'live', 'live']);
    expect(w.incidents.map(({ lid, reason, outcome }) => [lid, reason, outcome])).toEqual([
      [batch[1]?.lid, 'country_changed', 'revoked'],
    ]);
    expect(await w.countries('a')).toEqual(['GB']); // a revoked login never teaches
    expect(await w.countries('b')).toEqual(['FR']);
    expect(await w.deps.counters.read()).toMatchObject({
      logins: 4,
      'action:allow': 3,
      'action:revoke': 1,
      'reason:first_login': 2,
      'reason:same_country': 1,
    });
  });

  test('a disputed difference is flagged: on record, the session lives, nothing is learned', async () => {
    const w = world();
    const [home, odd] = [login('a', '1.1.1.1'), login('a', '3.3.3.3')];
    await store(w, odd);
    await w.run([home]);
    await w.run([odd]);
    expect(await stateOf(w, odd)).toBe('live');
    expect(w.incidents).toMatchObject([{ reason: 'country_disputed', action: 'flag', outcome: 'none' }]);
    expect(await w.countries('a')).toEqual(['GB']);
  });

  test('unknown is never suspicious, and is counted with its reason', async () => {
    const w = world();
    await w.run([login('a', '1.1.1.1'), login('a', '9.9.9.9'), login('a', null)]);
    expect(w.incidents).toEqual([]);
    expect(await w.countries('a')).toEqual(['GB']);
    expect(await w.deps.counters.read()).toMatchObject({
      'why:no_data': 1,
      'why:no_address': 1,
      'reason:unlocatable': 2,
    });
  });

  test('a login id that is in a batch twice is done once', async () => {
    const w = world();
    await w.run([login('a', '1.1.1.1')]);
    const thief = login('a', '2.2.2.2');
    await w.run([thief, thief, thief]);
    expect(w.incidents).toHaveLength(1);
    expect(await w.deps.counters.read()).toMatchObject({ logins: 2 });
  });

  test('a late login is judged by what was known when it happened', async () => {
    const w = world();
    const early = login('a', '1.1.1.1');
    const thief = login('a', '2.2.2.2');
    await w.run([thief]); // overtook: the job of the earlier login was held up
    await store(w, early);
    await w.run([early]);
    expect(await stateOf(w, early)).toBe('live');
    expect(await w.countries('a')).toEqual(['FR', 'GB']);
  });

  test('a login whose clock runs ahead does not age the baseline away', async () => {
    const w = world();
    await w.run([login('a', '1.1.1.1')]);
    await w.run([login('a', '1.1.2.1', { loginAtMs: NOW + 400 * 86_400_000 })]);
    await w.run([login('a', '2.2.2.2', { loginAtMs: NOW + 2e6 })]);
    expect(w.incidents).toMatchObject([{ reason: 'country_changed' }]);
  });

  test('two workers teach the same user at once: nothing is lost, and the second decides with what the first taught', async () => {
    const w = world();
    const late = login('a', '2.2.2.2');
    await store(w, late);
    let raced = false;
    const failed = await w.run([late], {
      afterEffect: async (effect) => {
        if (effect !== 'decide' || raced) return;
        raced = true; // the other worker's login, which happened earlier, is taught in between
        await w.run([login('a', '1.1.1.1', { loginAtMs: NOW - 1000 })]);
      },
    });
    expect(failed).toEqual([]);
    expect(await stateOf(w, late)).toBe('revoked');
    expect(await w.countries('a')).toEqual(['GB']);
    expect(await w.deps.counters.read()).toMatchObject({
      logins: 2,
      'reason:first_login': 1,
      'reason:country_changed': 1,
    });
  });

  test('a failure of one login fails, repeats and loses none of the others', async () => {
    const w = world();
    await w.run([login('a', '1.1.1.1')]);
    const [broken, thief, fine] = [login('bad', '1.1.1.1'), login('a', '2.2.2.2'), login('c', '1.1.1.1')];
    await w.redis.lpush(w.keys.baseline('bad'), 'not a baseline');
    await w.redis.lpush(w.keys.session(thief.handle), 'not a session');
    expect(await w.run([broken, thief, fine])).toEqual([thief, broken]);
    expect(await w.countries('c')).toEqual(['GB']);
    expect(w.incidents).toEqual([]); // the thief's session could not be ended: not on record as if it were
    await w.redis.del(w.keys.session(thief.handle));
    expect(await w.run([thief], {}, true)).toEqual([]);
    expect(w.incidents).toMatchObject([{ lid: thief.lid, outcome: 'not_found' }]);
  });

  test('a repeated batch keeps what is on record, whatever was learned since', async () => {
    const w = world();
    await w.run([login('a', '1.1.1.1')]);
    const thief = login('a', '2.2.2.2');
    await w.run([thief]);
    await w.redis.del(w.keys.baseline('a')); // as if it had expired: the thief would now be a first login
    await w.run([thief], {}, true);
    expect(w.incidents).toHaveLength(1);
    expect(await w.countries('a')).toEqual([]); // it did not teach either
  });

  test('observe mode records the same and touches no session', async () => {
    const w = world({ mode: 'observe' });
    await w.run([login('a', '1.1.1.1')]);
    const thief = login('a', '2.2.2.2');
    await store(w, thief);
    await w.run([thief]);
    expect(await stateOf(w, thief)).toBe('live');
    expect(w.incidents).toMatchObject([
      { action: 'revoke', reason: 'country_changed', mode: 'observe', outcome: 'observed' },
    ]);
    expect(w.incidents[0]?.revokedAtMs).toBeUndefined();
  });
});

describe('a reuse after the one before was given back', () => {
  /** A login that was reused, answered `safe` and given back at `NOW + 2000`. */
  async function givenBack() {
    const again: Incident[] = [];
    const w = world({ caseOf, clock: () => NOW + 1000, onEndedAgain: (incident) => again.push(incident) });
    const one = login('a', '1.1.1.1', { loginAtMs: NOW });
    await store(w, one);
    const reuse = { ...one, signal: 'session_reused', loginAtMs: NOW + 500 } as const;
    await w.run([reuse]);
    const caseId = caseOf(one.lid, 'session_reused');
    await w.deps.incidents.resolve(caseId, { disposition: 'safe', by: 'ann', note: '', atMs: NOW + 2000 });
    const only = { caseId, reuse: true };
    expect(await redisUndo(w.redis, w.keys).lift({ ...one, atMs: NOW + 2000, only })).toBe('given_back');
    const status = async () => (await w.deps.incidents.get(caseId))?.status;
    return { w, one, reuse, caseId, again, status };
  }

  test('a repeat of the old job ends nothing and opens nothing, whether it is known as one or not', async () => {
    const { w, one, reuse, again, status } = await givenBack();
    const later = { clock: () => NOW + 5000 };
    expect(await w.run([reuse], later)).toEqual([]);
    expect(await w.run([reuse], later, true)).toEqual([]);
    expect([await stateOf(w, one), await status(), again.length]).toEqual(['live', 'safe', 0]);
  });

  test.each(['revoke', 'record'] as const)(
    'a worker that dies after the %s loses nothing of the new end',
    async (at) => {
      const { w, one, reuse, caseId, status } = await givenBack();
      const next = { ...reuse, loginAtMs: NOW + 4000 };
      const afterEffect = (effect: string) => {
        if (effect === at) throw new Error('died');
      };
      const later = { clock: () => NOW + 5000 };
      await expect(w.run([next], { ...later, afterEffect })).rejects.toThrow('died');
      const told: unknown[] = [];
      const tell = (incident: unknown) => told.push(incident);
      await w.run([next], { ...later, onEndedAgain: tell, onIncidentAgain: tell }, true);
      expect(told).toHaveLength(1);
      expect([await stateOf(w, one), await status()]).toEqual(['revoked', 'open']);
      const endedAgain = { reason: 'session_reused', atMs: NOW + 5000, eventAtMs: NOW + 4000, was: 'safe' };
      expect(await w.deps.incidents.get(caseId)).toMatchObject({ endedAgain });
      await w.deps.incidents.resolve(caseId, { disposition: 'dismissed', by: 'ann', note: '', atMs: NOW + 6000 });
      await w.run([next], later, true);
      await w.run([next], later);
      expect(await status()).toBe('dismissed');
    },
  );
});
