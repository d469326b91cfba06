/** Two analysts at the same desk, at the same time, over a real Redis: the first is heard, the second is told. */
import { expect, test } from '@jest/globals';
import { openDesk } from '../../src/desk.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { openConsole } from '../support/desk-pages.ts';
import { anIncident } from '../support/incidents.ts';
import { captureLog, connect, release, testPrefix } from '../support/index.ts';

async function openCases(count: number) {
  const keys = keysFor(testPrefix());
  const redis = connect();
  const desk = openDesk({ redis, keys, clock: Date.now, log: captureLog() });
  release(() => desk.close());
  const now = Date.now();
  const cases = Array.from({ length: count }, (_, i) => anIncident({ userId: `user-${i}`, decidedAtMs: now - i }));
  await redisIncidents(redis, keys, 86_400_000).record(cases);
  return { desk, ids: cases.map(({ id }) => id), zoe: openConsole(desk), rita: openConsole(desk) };
}

test('of two answers to one incident one counts; the other gets 409 and the name of the first', async () => {
  for (let round = 0; round < 5; round++) {
    const { desk, ids, zoe, rita } = await openCases(1);
    const path = `/incidents/${ids[0]}/answer`;
    const [a, b] = await Promise.all([
      zoe.post(path, { disposition: 'dismissed', note: 'of zoe' }, { by: 'zoe' }),
      rita.post(path, { disposition: 'confirmed', note: 'of rita' }, { by: 'rita' }),
    ]);
    expect([a.status, b.status].sort()).toEqual([303, 409]);
    const [winner, late] = a.status === 303 ? ['zoe', b] : ['rita', a];
    expect(late.text).toContain(`By ${winner}`);
    expect(await desk.incident(ids[0] ?? '')).toMatchObject({ resolvedBy: winner, note: `of ${winner}` });
    expect((await desk.audit(10)).filter(({ what }) => what === 'answer')).toMatchObject([{ by: winner }]);
  }
});

test('two bulk answers share the incidents: each is answered once, and both say so', async () => {
  const { desk, ids, zoe, rita } = await openCases(12);
  const fields = { case: ids, disposition: 'dismissed', note: '' };
  const pages = await Promise.all([
    zoe.post('/incidents/answer', fields, { by: 'zoe' }),
    rita.post('/incidents/answer', { ...fields, case: [...ids].reverse() }, { by: 'rita' }),
  ]);
  const counts = pages.map(({ text }) => Number(/(\d+) of 12 answered/.exec(text)?.[1]));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(12);
  const answered = (await desk.incidents({ status: 'dismissed' }, 20, null)).incidents;
  for (const [i, by] of ['zoe', 'rita'].entries()) {
    expect(answered.filter(({ resolvedBy }) => resolvedBy === by)).toHaveLength(counts[i] ?? -1);
    const other = by === 'zoe' ? 'rita' : 'zoe';
    expect(pages[i]?.text.match(new RegExp(`was answered before: dismissed by ${other}`, 'g')) ?? []).toHaveLength(
      12 - (counts[i] ?? 0),
    );
  }
});

test('pages by cursor meet every incident once, newest first', async () => {
  const { ids, zoe } = await openCases(120);
  const met: string[] = [];
  let path: string | undefined = '/incidents';
  while (path !== undefined) {
    const { html } = await zoe.get(path);
    met.push(...[...html.matchAll(/name="case" value="([^"]+)"/g)].map(([, id = '']) => id));
    path = /rel="next" href="([^"]+)"/.exec(html)?.[1]?.replaceAll('&amp;', '&');
  }
  expect(met).toEqual(ids);
});
