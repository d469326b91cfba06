/** Whoever guesses passwords from outside neither locks anybody out nor fills the audit. */

import { scryptSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { doorman } from '../../src/console/accounts.ts';
import { accountsOf } from '../../src/console/password.ts';
import type { AuditEntry } from '../../src/ports.ts';
import { redisAttempts } from '../../src/redis/attempts.ts';
import { redisAudit } from '../../src/redis/audit.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { captureLog, connect, testPrefix } from '../support/index.ts';

const PASSWORD = 'correct horse battery';
const SALT = Buffer.alloc(16, 7);
const KEY = scryptSync(PASSWORD, SALT, 32, { N: 2 ** 13, r: 8, p: 1 });
const HASH = `scrypt$13$8$1$${SALT.toString('base64url')}$${KEY.toString('base64url')}`;

function door() {
  const noted: Omit<AuditEntry, 'atMs'>[] = [];
  const note = async (entry: Omit<AuditEntry, 'atMs'>) => void noted.push(entry);
  const attempts = redisAttempts(connect(), keysFor(testPrefix()));
  const accounts = accountsOf({ anna: `admin:${HASH}` });
  const man = doorman({ accounts, attempts, desk: { note }, clock: Date.now, log: captureLog() });
  const guess = (at: string) => man.check('anna', 'wrong password', at);
  /** From ten addresses, until the account has no try left. */
  const besiege = async () => {
    for (let i = 0; i < 60; i++) await guess(`198.51.100.${i % 12}`);
  };
  return { ...man, guess, besiege, noted };
}

describe('guessing at an account', () => {
  test('locks it from addresses that nobody knows, and not from where its owner signs in', async () => {
    const { check, besiege } = door();
    expect(await check('anna', PASSWORD, '203.0.113.1')).toMatchObject({ kind: 'ok' });
    await besiege();
    expect(await check('anna', PASSWORD, '203.0.113.2')).toMatchObject({ kind: 'limited' });
    expect(await check('anna', PASSWORD, '203.0.113.1')).toMatchObject({ kind: 'ok' });
  });

  test('from the known address too is limited', async () => {
    const { check, guess } = door();
    expect(await check('anna', PASSWORD, '203.0.113.1')).toMatchObject({ kind: 'ok' });
    for (let i = 0; i < 5; i++) expect(await guess('203.0.113.1')).toEqual({ kind: 'refused' });
    expect(await check('anna', PASSWORD, '203.0.113.1')).toMatchObject({ kind: 'limited' });
  });

  test('does not keep somebody who is signed in from proving who they are; their own wrong tries do', async () => {
    const { confirm, besiege } = door();
    await besiege();
    const from = { session: 'one', address: '203.0.113.2' };
    expect(await confirm('anna', PASSWORD, from)).toMatchObject({ kind: 'ok' });
    for (let i = 0; i < 5; i++) expect(await confirm('anna', 'wrong', from)).toEqual({ kind: 'refused' });
    expect(await confirm('anna', PASSWORD, from)).toMatchObject({ kind: 'limited' });
    expect(await confirm('anna', PASSWORD, { ...from, session: 'two' })).toMatchObject({ kind: 'ok' });
  });

  test('signing in well uses no tries up', async () => {
    const { check } = door();
    for (let i = 0; i < 60; i++) expect(await check('anna', PASSWORD, '203.0.113.1')).toMatchObject({ kind: 'ok' });
  }, 20_000);

  test('is in the audit once, and then each time that it has grown tenfold', async () => {
    const { guess, noted } = door();
    for (let i = 0; i < 12; i++) await guess(`198.51.100.${i}`);
    expect(noted.map(({ by, outcome }) => `${by}: ${outcome}`)).toEqual([
      'anna: refused',
      'anna: refused, 10 times in a day',
    ]);
  });
});

test('the acts on a case are found however much was noted since, and those from before cases had a list', async () => {
  const redis = connect();
  const keys = keysFor(testPrefix());
  const audit = redisAudit(redis, keys);
  const caseId = 'K7QX-2M9F-4T8A';
  const act = { what: 'answer', by: 'ann', why: '', userId: 'alice', lid: null, outcome: 'safe' } as const;
  await audit.add([{ ...act, caseId, atMs: 1 }]);
  const noise = Array.from({ length: 400 }, (_, i) => ({ ...act, by: 'bob', atMs: 2 + i }));
  await audit.add(noise);
  await redis.xadd(keys.audit(), '*', 'entry', JSON.stringify({ ...act, caseId, by: 'old', atMs: 900 }));
  await audit.add([{ ...act, caseId, outcome: 'reopened', atMs: 1000 }]);
  const found = await audit.ofCase(caseId);
  expect(found.map(({ by, outcome }) => `${by}: ${outcome}`)).toEqual(['ann: reopened', 'old: safe', 'ann: safe']);
  expect(await audit.ofCase('AAAA-BBBB-CCCC')).toEqual([]);
  const all: AuditEntry[] = [];
  for await (const page of audit.pages()) all.push(...page);
  expect(all).toEqual(await audit.list(1000));
  expect(all).toHaveLength(403);
  expect(await redis.pttl(keys.auditOfCase(caseId))).toBeGreaterThan(0);
});
