/** A worker does not begin without the operator's own word on networks. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { createWorker } from '../../src/worker.ts';
import { captureLog, release, testPrefix, testRedisUrl } from '../support/index.ts';

test('overrides that are named and cannot be opened keep a worker from starting; once they can, it starts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'overrides-'));
  release(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'own.csv');
  const start = () =>
    createWorker({ redis: testRedisUrl(), prefix: testPrefix(), log: captureLog(), overrides: [path] });
  await expect(start()).rejects.toMatchObject({
    code: 'database_unusable',
    message: expect.stringMatching(/^overrides: .*own\.csv: .*correct the file, or take it out/),
  });
  writeFileSync(path, '81.2.69.0/24,FR\n');
  const worker = await start();
  release(() => worker.close({ force: true }));
  expect(worker.locator.locate('81.2.69.142')).toMatchObject({ kind: 'located', candidates: ['FR'] });
});
