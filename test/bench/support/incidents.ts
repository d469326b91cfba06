/**
 * Incidents by the million, in the layout that the store's own `record` writes (its lists, its record, their times to live), but in
 * batches: what is measured is reading them.
 */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { caseOf } from '../../../src/case-of.ts';
import type { Incident, IncidentStatus } from '../../../src/domain/incident.ts';
import { listsOf } from '../../../src/redis/incident-lists.ts';
import type { Keys } from '../../../src/redis/keys.ts';

export const KEEP_MS = 365 * 86_400_000;
const PER_USER = 10;
const PER_ADDRESS = 20;
const PER_NETWORK = 200;
const SPACING_MS = 20_000;
const BATCH = 5000;

const COUNTRIES = ['FR', 'DE', 'US', 'JP', 'BR', 'ZA', 'AU', 'NG', 'IN', 'CN', 'RU', 'VN', 'NL', 'TR', 'ID', 'UA'];

export const userOf = (i: number): string => `user-${Math.floor(i / PER_USER)}`;

/** Some that many share, as an exit of a VPN would be. */
export function addressOf(i: number): string {
  const n = Math.floor(i / PER_ADDRESS);
  const network = Math.floor(i / PER_NETWORK);
  return `${20 + (network >> 16)}.${(network >> 8) & 255}.${network & 255}.${1 + (n % (PER_NETWORK / PER_ADDRESS))}`;
}

function statusOf(i: number, count: number): IncidentStatus {
  // The newest tenth is open; of the others one in twenty has been left lying.
  if (i > count * 0.9 || i % 20 === 0) return 'open';
  return (['dismissed', 'dismissed', 'dismissed', 'safe', 'confirmed'] as const)[i % 5] ?? 'dismissed';
}

export function seededIncident(i: number, newestMs: number, count: number): Incident {
  const userId = userOf(i);
  const lid = createHash('sha256').update(`lid ${i}`).digest('base64url').slice(0, 38);
  const address = addressOf(i);
  const network = address.replace(/\.\d+$/, '.0/24');
  const country = COUNTRIES[(i * 7) % COUNTRIES.length] ?? 'FR';
  const atMs = newestMs - (count - i) * SPACING_MS;
  const evidence = ['GeoLite2-Country', 'DB-IP-Country-Lite'].map((database) => ({
    database,
    builtOn: '2026-11-01',
    country,
    network,
  }));
  const known = { firstSeenMs: atMs - 1e9, lastSeenMs: atMs - 1e7 };
  const v4 = {
    places: [{ countries: ['GB'], agreed: true, ...known }],
    networks: [{ network: '81.2.69.0/24', ...known }],
  };
  const isFlag = i % 4 === 0;
  return {
    id: caseOf(lid),
    lid,
    handle: createHash('sha256').update(lid).digest('base64url'),
    userId,
    action: isFlag ? 'flag' : 'revoke',
    reason: isFlag ? 'country_disputed' : 'country_changed',
    mode: 'enforce',
    outcome: isFlag ? 'none' : 'revoked',
    baseline: { v4, v6: { places: [], networks: [] } },
    sighting: { kind: 'located', address, family: 4, network, candidates: [country], agreed: !isFlag, evidence },
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    loginAtMs: atMs,
    queuedAtMs: atMs,
    decidedAtMs: atMs,
    ...(isFlag ? {} : { revokedAtMs: atMs }),
  };
}

/** Many records in one command. As `record` writes them, but for the answer. */
const RECORDS = `
for i = 1, #KEYS do
  redis.call('HSET', KEYS[i], 'json', ARGV[2 * i], 'status', ARGV[2 * i + 1])
  redis.call('PEXPIRE', KEYS[i], ARGV[1])
end`;
const RECORDS_AT_ONCE = 500;

export async function seedIncidents(redis: Redis, keys: Keys, count: number, newestMs: number): Promise<void> {
  // While the server writes one batch the next one is made.
  let written: Promise<unknown> = Promise.resolve();
  for (let from = 0; from < count; from += BATCH) {
    const pipeline = redis.pipeline();
    const lists = new Map<string, (string | number)[]>();
    const where: string[] = [];
    const texts: string[] = [];
    for (let i = from; i < Math.min(count, from + BATCH); i++) {
      const incident = seededIncident(i, newestMs, count);
      const status = statusOf(i, count);
      where.push(keys.incident(incident.id));
      texts.push(JSON.stringify(incident), status);
      for (const list of listsOf(keys, incident, status)) {
        const rows = lists.get(list) ?? [];
        if (rows.length === 0) lists.set(list, rows);
        rows.push(incident.decidedAtMs, incident.id);
      }
    }
    for (let at = 0; at < where.length; at += RECORDS_AT_ONCE) {
      const some = where.slice(at, at + RECORDS_AT_ONCE);
      pipeline.eval(RECORDS, some.length, ...some, KEEP_MS, ...texts.slice(2 * at, 2 * (at + RECORDS_AT_ONCE)));
    }
    for (const [list, rows] of lists) {
      pipeline.zadd(list, ...rows);
      pipeline.pexpire(list, KEEP_MS);
    }
    await written;
    written = executed(pipeline);
  }
  await written;
}

async function executed(pipeline: ReturnType<Redis['pipeline']>): Promise<void> {
  const failed = (await pipeline.exec())?.find(([error]) => error);
  if (failed?.[0]) throw failed[0];
}
