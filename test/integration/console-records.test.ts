/** Overview, exports, privacy and the brake over the real desk, where a real worker has been at work. */
import { describe, expect, test } from '@jest/globals';
import { openDesk } from '../../src/desk.ts';
import { DEFAULT_BRAKE } from '../../src/domain/brake.ts';
import { redisBrake } from '../../src/redis/brake.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { openConsole } from '../support/desk-pages.ts';
import { captureLog, connect, release, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

function open(prefix = testPrefix()) {
  const redis = connect();
  const keys = keysFor(prefix);
  const desk = openDesk({ redis, keys, clock: Date.now, log: captureLog() });
  release(() => desk.close());
  return { redis, keys, desk, pages: openConsole(desk) };
}

async function theft(mode: 'enforce' | 'observe') {
  const prefix = testPrefix();
  const shop = await openShop(prefix);
  await openWorker(prefix, { mode });
  const opened = open(prefix);
  const { desk } = opened;
  await shop.browser(ADDRESS.london).login('alice');
  await until(async () => (await desk.trust('alice')).baseline.v4.places.length > 0);
  await shop.browser(ADDRESS.lagos).login('alice');
  const incident = await until(async () => (await desk.incidents({ userId: 'alice' }, 1, null)).incidents[0]);
  await until(async () => ((await desk.overview(Date.now() - 3_600_000, Date.now())).countries.length ?? 0) === 2);
  // Told beside the counts, and perhaps a moment after them.
  await until(async () => (await desk.history('alice', 10)).length === 2);
  return { ...opened, incident };
}

describe('after a theft', () => {
  test('the overview counts it, on the map’s table, over time, with the worker and its databases', async () => {
    const { pages } = await theft('enforce');
    for (const path of ['/', '/?period=week']) {
      const { text, html } = await pages.get(path);
      expect(text).toContain('1 open incident');
      expect(text).toContain('1 worker at work');
      expect(text).toContain('Checked: 2');
      expect(text).toContain('Ended: 1');
      expect(text).toContain('Nigeria (NG) 1 0 1 United Kingdom (GB) 1 0 0');
      expect(text).toMatch(/Databases .*(geolite2|dbip).* Workers .*enforce/is);
      expect(text).not.toContain('Observing');
      expect(html.length).toBeLessThan(150_000);
    }
  });

  test('an observing worker’s is told as what would have been', async () => {
    const { pages } = await theft('observe');
    const { text } = await pages.get('/');
    expect(text).toContain('1 worker at work, 1 of them only observing');
    expect(text).toMatch(/would have ended 1 session of 1 user in this time/);
    expect(text).toContain('Would have ended: 1');
    expect(text).toContain('Nigeria (NG) 1 0 0 1');
  });

  test('the exports hold it, and nothing that stands for the session; the audit holds the exports', async () => {
    const { pages, incident } = await theft('enforce');
    const [csv, ndjson] = [await pages.post('/incidents.csv', {}), await pages.post('/incidents.ndjson', {})];
    expect(csv.html.split('\r\n')[1]).toMatch(new RegExp(`^"${incident.id}","open","revoke","country_changed"`));
    expect(JSON.parse(ndjson.html)).toMatchObject({ id: incident.id, userId: 'alice' });
    for (const { html } of [csv, ndjson]) {
      for (const secret of [incident.handle, incident.lid]) expect(html).not.toContain(secret);
    }
    const { text } = await pages.get('/audit');
    expect(text).toMatch(/rita exported ndjson status=open .* rita exported csv status=open/);
  });

  test('what is held is shown, then forgotten: nothing of it is left', async () => {
    const { pages, desk, incident } = await theft('enforce');
    const held = await pages.post('/privacy/holdings?user=alice', { as: 'file', why: 'request 7' });
    const { history, incidents, baseline } = JSON.parse(held.html);
    expect([history.length, incidents.length, baseline.v4.places.length]).toEqual([2, 1, 1]);
    expect(held.html).not.toContain(incident.handle);

    const done = await pages.post('/privacy/forget?user=alice', { confirm: 'alice', why: 'request 8' });
    expect(done.text).toMatch(/called forgotten-[\w-]+ now.*logins in the history: erased 2/);
    expect((await desk.incident(incident.id))?.userId).toMatch(/^forgotten-/);
    const after = await pages.post('/privacy/holdings?user=alice', { as: 'page' });
    expect(after.text).toMatch(/places trusted 0 sessions 0 logins in the history 0 incidents 0/);
    expect((await pages.get('/audit')).text).toMatch(/rita forgot a user .*forgotten-/);
  });
});

describe('the safety brake', () => {
  test('is let go from the overview, which the audit tells', async () => {
    const { redis, keys, desk, pages } = open();
    const toEnd = Array.from({ length: 3 }, (_, i) => ({ lid: `l-${i}`, userId: `u-${i}` }));
    await redisBrake(redis, keys).ask(toEnd, 3, Date.now(), { ...DEFAULT_BRAKE, minLogins: 1, share: 0.1 });
    const { text, html } = await pages.get('/');
    expect(text).toContain('The safety brake is on: no session is being ended.');
    expect(text).toContain('3 users in 3 logins in the window');
    expect(html).toContain('id="brake"');
    const { flash } = await pages.post('/brake/reset', { why: 'the old file is back' });
    expect(flash).toBe('The brake is let go: sessions are ended again.');
    expect(await desk.brake()).toEqual({ kind: 'enforcing' });
    const after = await pages.get('/');
    expect(after.text).not.toContain('The safety brake is on');
    expect(after.text).toContain('It last held from');
    expect((await pages.get('/audit')).text).toContain('rita let the safety brake go enforcing the old file is back');
    expect((await pages.post('/brake/reset', { why: 'again' })).flash).toBe('The brake did not hold.');
  });
});

test('an entry that cannot be is refused with what its kind takes, without repeating it', async () => {
  const { desk, pages } = open();
  const fields = { list: 'block', kind: 'network', value: '<b>0.0.0.0/0', for: '1d', why: 'all of it' };
  const { status, text, html } = await pages.post('/lists/add', fields);
  expect([status, text]).toEqual([400, expect.stringContaining('network: give a block such as')]);
  expect(html).not.toContain('0.0.0.0/0');
  await pages.post('/lists/add', { ...fields, value: ' 203.0.113.77/24 ' });
  expect(await desk.lists()).toMatchObject([{ kind: 'network', value: '203.0.113.0/24', by: 'rita' }]);
  expect((await pages.get('/lists')).text).toContain('block network 203.0.113.0/24 all of it rita');
  expect((await pages.get('/audit')).text).toContain('rita added to a list block network 203.0.113.0/24 all of it');
});
