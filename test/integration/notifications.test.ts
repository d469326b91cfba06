/** Webhooks over the real queue, to a receiver that verifies with the library. */
import { describe, expect, test } from '@jest/globals';
import type { Effect } from '../../src/detect.ts';
import { type Notice, noticeId, type WebhookEndpoint } from '../../src/domain/notification.ts';
import { openNotifier } from '../../src/notify.ts';
import { type Mail, type MailContext, questionMail } from '../../src/notify-mail.ts';
import { type NotificationOptions, startNotifications } from '../../src/notify-worker.ts';
import { loginQueue } from '../../src/queue/login-queue.ts';
import { deadLetters } from '../../src/queue/notifications.ts';
import { redisBaselines } from '../../src/redis/baselines.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, LOGIN_QUEUE, NOTIFICATION_QUEUE } from '../../src/redis/keys.ts';
import { redisQuestions } from '../../src/redis/questions.ts';
import { readLink } from '../../src/web/user-link.ts';
import { FORBIDDEN, incidentOf } from '../support/incident.ts';
import { captureLog, connect, release, spawnNode, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { accept, inTurn, OLD_SECRET, openReceiver, type Receiver, SECRET, status } from '../support/receiver.ts';
import { ADDRESS } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const DAY_MS = 86_400_000;
const LINK_SECRETS = ['k'.repeat(32)];
const LINKS = { url: 'https://shop.example/was-this-you', secrets: LINK_SECRETS };

/** Its connections are of the kind that workers have. */
function openWorld(options: Partial<NotificationOptions> = {}, prefix = testPrefix()) {
  const keys = keysFor(prefix);
  const log = captureLog();
  const redis = connect(undefined, { maxRetriesPerRequest: null });
  const incidents = redisIncidents(redis, keys, DAY_MS);
  const notifier = openNotifier(redis, keys, log);
  release(() => notifier.close());
  const letters = deadLetters(redis, { queue: NOTIFICATION_QUEUE, prefix: keys.queuePrefix }, log);
  release(() => letters.close());
  const start = (webhooks: readonly WebhookEndpoint[], more: Partial<NotificationOptions> = {}) => {
    const all = { webhooks, retryDelaysMs: [10, 10, 10], timeoutMs: 2000, ...options, ...more };
    const consumer = startNotifications(redis, keys, all, { incidents, log, clock: Date.now });
    release(() => consumer.close(true));
    return consumer;
  };
  const record = async (userId: string, over = {}): Promise<Notice & { caseId: string }> => {
    const incident = incidentOf(userId, over);
    await incidents.record([incident]);
    return { event: 'incident.recorded', caseId: incident.id, atMs: incident.decidedAtMs };
  };
  return { keys, log, redis, incidents, notifier, letters, start, record };
}

const typesOf = ({ received }: Receiver) => received.map(({ type }) => type).sort();

describe('webhooks', () => {
  test('each event is told once, signed, to those that want it, and holds no id of a session', async () => {
    const world = openWorld();
    const [all, brakeOnly] = [await openReceiver(), await openReceiver()];
    world.start([
      { url: all.url, secret: SECRET },
      { url: brakeOnly.url, secret: SECRET, events: ['brake.tripped'] },
    ]);
    const recorded = await world.record('alice');
    const { caseId, atMs } = recorded;
    const window = { logins: 200, revokes: 11 };
    const notices: Notice[] = [
      recorded,
      { event: 'incident.answered', caseId, atMs, disposition: 'safe', by: 'ann' },
      { event: 'session.given_back', caseId, atMs, by: 'ann' },
      { event: 'brake.tripped', atMs, trip: { atMs, why: 'share', window, day: window } },
      { event: 'brake.reset', atMs, by: 'ann' },
    ];
    await Promise.all([
      world.notifier.tell(...notices),
      world.notifier.tell(...notices),
      world.notifier.tell(recorded),
    ]);
    const expected = notices.map(({ event }) => event).sort();
    await until(() => all.received.length >= notices.length && brakeOnly.received.length >= 1);
    // One more goes the whole way behind them: had any been told twice, it would have come by then.
    await world.notifier.tell({ event: 'brake.reset', atMs: atMs + 1, by: 'bob' });
    await until(() => typesOf(all).length > notices.length);
    expect(typesOf(all)).toEqual([...expected, 'brake.reset'].sort());
    expect(typesOf(brakeOnly)).toEqual(['brake.tripped']);
    const first = all.received.find(({ type }) => type === 'incident.recorded');
    expect(first?.data).toMatchObject({
      case: caseId,
      userId: 'alice',
      reason: 'country_changed',
      seen: ['NG'],
      known: ['GB'],
      mode: 'enforce',
      outcome: 'revoked',
    });
    expect(first?.id).toBe(noticeId(recorded));
    const everything = all.received.map(({ body }) => body).join() + world.log.text();
    for (const word of Object.values(FORBIDDEN)) expect(everything).not.toContain(word);
    expect([all.forged, brakeOnly.forged]).toEqual([[], []]);
  });

  test('while secrets change over, a receiver may know the new one or the old one', async () => {
    const world = openWorld();
    const [newer, older] = [await openReceiver(SECRET), await openReceiver(OLD_SECRET)];
    world.start([newer, older].map(({ url }) => ({ url, secret: [SECRET, OLD_SECRET] })));
    await world.notifier.tell({ event: 'brake.reset', atMs: 1, by: 'ann' });
    await until(() => newer.received.length === 1 && older.received.length === 1);
    expect([newer.forged, older.forged]).toEqual([[], []]);
  });

  test.each([
    ['an error', status(500)],
    ['a refusal', status(404)],
    ['a reset', (res: Parameters<typeof accept>[0]) => void res.socket?.destroy()],
    ['silence', () => {}],
  ])('after %s it is tried again, under the same id', async (_name, answer) => {
    const world = openWorld({ timeoutMs: 300 });
    const receiver = await openReceiver();
    receiver.answer = inTurn(answer, answer, accept);
    world.start([{ url: receiver.url, secret: SECRET }]);
    await world.notifier.tell({ event: 'brake.reset', atMs: 1, by: 'ann' });
    await until(() => receiver.received.length >= 3);
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(1);
    expect(await world.letters.list(10)).toEqual([]);
  });

  test('given up after all attempts: visible without path, body or secret; retried on demand', async () => {
    const world = openWorld();
    const receiver = await openReceiver();
    receiver.answer = status(503);
    world.start([{ url: receiver.url, secret: SECRET }]);
    const notice = await world.record('alice');
    await world.notifier.tell(notice);
    const [letter] = await until(async () => {
      const found = await world.letters.list(10);
      return found.length === 1 && found;
    });
    const host = new URL(receiver.url).host;
    expect(letter).toMatchObject({ event: notice.event, host, caseId: notice.caseId, attempts: 4, why: 'http_503' });
    expect(JSON.stringify(letter) + world.log.text()).not.toMatch(/secret-path|whsec_|alice/);
    expect(await world.letters.count()).toBe(1);
    receiver.answer = accept;
    expect(await Promise.all([world.letters.retry(letter?.id ?? ''), world.letters.retry('wait')])).toEqual([
      true,
      false,
    ]);
    await until(() => receiver.received.length === 5);
    await until(async () => (await world.letters.count()) === 0);
    expect(await world.letters.retry(letter?.id ?? '')).toBe(false);
  });

  test('410 Gone: no further attempt, and no other receiver is kept waiting', async () => {
    const world = openWorld();
    const [gone, other] = [await openReceiver(), await openReceiver()];
    gone.answer = status(410);
    world.start([gone, other].map(({ url }) => ({ url, secret: SECRET })));
    await world.notifier.tell({ event: 'brake.reset', atMs: 1, by: 'ann' });
    await until(async () => (await world.letters.count()) === 1);
    await until(() => other.received.length === 1);
    expect(gone.received).toHaveLength(1);
    expect(await world.letters.list(10)).toMatchObject([{ why: 'http_410', attempts: 1 }]);
  });

  test('a worker that is killed in the middle: another one delivers, and tells it under the same id', async () => {
    const prefix = testPrefix();
    const world = openWorld({ lockDurationMs: 500 }, prefix);
    const receiver = await openReceiver();
    receiver.answer = () => {};
    const child = spawnNode('test/support/notifying-worker.js', [testRedisUrl(), prefix, receiver.url, SECRET]);
    await world.notifier.tell({ event: 'brake.reset', atMs: 1, by: 'ann' });
    await until(() => receiver.received.length === 1, { timeoutMs: 15_000 });
    expect((await child.kill('SIGKILL')).signal).toBe('SIGKILL');
    receiver.answer = accept;
    world.start([{ url: receiver.url, secret: SECRET }]);
    await until(() => receiver.received.length >= 2, { timeoutMs: 10_000 });
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(1);
  });

  test('a worker without endpoints takes what there is: it does not wait for ever', async () => {
    const world = openWorld();
    world.start([]);
    await world.notifier.tell({ event: 'brake.reset', atMs: 1, by: 'ann' });
    const waiting = `${world.keys.queuePrefix}:${NOTIFICATION_QUEUE}:wait`;
    await until(async () => (await world.redis.llen(waiting)) === 0);
    expect(await world.letters.count()).toBe(0);
  });

  test('an endpoint that left the configuration, and an incident that is gone, end as dead letters', async () => {
    const world = openWorld();
    const receiver = await openReceiver();
    const before = world.start([{ url: receiver.url, secret: SECRET }], { retryDelaysMs: [300] });
    const asked = new Promise<() => void>((resolve) => {
      receiver.answer = (...args) => resolve(() => status(500)(...args));
    });
    await world.notifier.tell({ event: 'brake.reset', atMs: 1, by: 'ann' });
    const refuse = await asked;
    // It ends with what it has in hand, and the next attempt is not its own.
    const closing = before.close();
    refuse();
    await closing;
    const without = world.start([]);
    await until(async () => (await world.letters.list(10))[0]?.why === 'not_configured');
    await without.close();
    world.start([{ url: receiver.url, secret: SECRET }]);
    await world.notifier.tell({ event: 'incident.recorded', caseId: 'AAAA-BBBB-CCCC', atMs: 2 });
    await until(async () => (await world.letters.count()) === 2);
    expect((await world.letters.list(10)).map(({ why }) => why)).toEqual(['incident_gone', 'not_configured']);
    expect(receiver.received).toHaveLength(1);
  });

  test('while Redis is away, telling neither throws nor hangs; it is logged', async () => {
    const world = openWorld();
    const redis = connect('redis://127.0.0.1:1', { enableOfflineQueue: false, retryStrategy: () => null });
    const notifier = openNotifier(redis, world.keys, world.log);
    await notifier.tell({ event: 'brake.reset', atMs: 1, by: 'ann' });
    expect(world.log.text()).toContain('notification_lost');
  });
});

describe('a login worker', () => {
  const AT = { handle: 'h'.repeat(43), loginAtMs: Date.now() - 1000 };
  const places = [{ countries: ['GB'], agreed: true, firstSeenMs: 1, lastSeenMs: Date.now() - 9e8 }];
  const home = { v4: { places, networks: [] }, v6: { places: [], networks: [] } };

  async function logIn(prefix: string, userId: string, lid: string) {
    const { keys, redis } = openWorld({}, prefix);
    await redisBaselines(redis, keys, 1e10, captureLog()).save([{ userId, revision: 0, baseline: home }]);
    const queue = loginQueue(redis, { queue: LOGIN_QUEUE, prefix: keys.queuePrefix }, captureLog());
    release(() => queue.close());
    await queue.add(`job-${lid}`, [{ ...AT, lid, userId, address: ADDRESS.lagos }]);
  }

  test.each(['nothing', 'record'])('tells of its incident once, also when it failed after: %s', async (effect) => {
    const prefix = testPrefix();
    const receiver = await openReceiver();
    let failures = effect === 'record' ? 1 : 0;
    const afterEffect = (done: Effect) => {
      if (done === effect && failures-- > 0) throw new Error('failed by the test');
    };
    await openWorker(prefix, { webhooks: [{ url: receiver.url, secret: SECRET }], afterEffect });
    await logIn(prefix, 'alice', 'first-login-0000000000');
    await until(() => receiver.received.length === 1, { timeoutMs: 10_000 });
    expect(receiver.received[0]?.data).toMatchObject({ userId: 'alice', reason: 'country_changed', seen: ['NG'] });
    await logIn(prefix, 'bob', 'second-login-000000000');
    await until(() => receiver.received.length === 2, { timeoutMs: 10_000 });
    expect(receiver.received.map(({ data }) => data.userId)).toEqual(['alice', 'bob']);
  });

  test('refuses what would be told to anybody on the way', async () => {
    const webhooks = [{ url: 'http://siem.example/', secret: SECRET }];
    await expect(openWorker(testPrefix(), { webhooks })).rejects.toMatchObject({ code: 'option_invalid' });
    const worker = await openWorker(testPrefix(), { webhooks, allowHttpWebhooks: true });
    expect(worker.isRunning()).toBe(true);
  });

  const endpoint = { url: 'https://siem.example/', secret: SECRET };
  test.each([
    ['webhooks', { webhooks: endpoint }],
    ['webhooks[0].url', { webhooks: [null] }],
    ['webhooks[0].secret', { webhooks: [{ url: endpoint.url }] }],
    ['webhooks[0].events', { webhooks: [{ ...endpoint, events: 'incident.recorded' }] }],
    ['userLinks.url', { userLinks: null }],
    ['userLinks.secrets', { userLinks: { url: LINKS.url, secrets: 's'.repeat(40) } }],
    ['userLinks.secrets', { userLinks: { url: LINKS.url } }],
    ['userLinks.ttlDays', { userLinks: { ...LINKS, ttlDays: Number.NaN } }],
    ['userLinks.ttlDays', { userLinks: { ...LINKS, ttlDays: '7' } }],
    ['userLinks.ask', { userLinks: { ...LINKS, ask: 'everybody' } }],
    ['userLinks.render', { userLinks: { ...LINKS, render: 'mail.html' } }],
    ['mode', { mode: 'Enforce' }],
    ['brake', { brake: null }],
  ])('does not start with a wrong %s: %j', async (name, options) => {
    const message = expect.stringContaining(`${name}: `);
    await expect(openWorker(testPrefix(), options as never)).rejects.toMatchObject({ code: 'option_invalid', message });
  });
});

describe('user.question', () => {
  test('goes to who asks for it: a mail, with a link that is good and lies neither in Redis nor in the log', async () => {
    const world = openWorld({ userLinks: LINKS });
    const [mailer, other] = [await openReceiver(), await openReceiver()];
    mailer.answer = status(500);
    world.start([
      { url: mailer.url, secret: SECRET, events: ['user.question'] },
      { url: other.url, secret: SECRET },
    ]);
    const notice = await world.record('alice');
    await world.notifier.tell(notice);
    await until(async () => (await world.letters.count()) === 1);
    await until(() => other.received.length > 0);
    const [question] = mailer.received;
    const { link, text, html, subject, userId, expiresAt } = (question?.data ?? {}) as Record<string, string>;
    expect(question?.type).toBe('user.question');
    expect(userId).toBe('alice');
    expect(subject).toContain('shop.example');
    expect(text).toContain(link ?? 'no link');
    expect(text).toContain('Nigeria');
    expect(text).toContain('Firefox on Windows');
    expect(html).toContain(`href="${link}"`);
    for (const word of Object.values(FORBIDDEN)) expect(question?.body).not.toContain(word);
    expect(question?.body).not.toContain('script');
    const token = new URL(link ?? '').searchParams.get('t') ?? '';
    expect(readLink(token, LINK_SECRETS)).toMatchObject({ caseId: notice.caseId });
    expect(Date.parse(expiresAt ?? '') - notice.atMs).toBe(7 * DAY_MS);
    expect(new Set(mailer.received.map(({ data }) => data.link)).size).toBe(1);
    expect(typesOf(other)).toEqual(['incident.recorded']);
    const ids = await world.redis.keys(`*${world.keys.queuePrefix}:${NOTIFICATION_QUEUE}:*`);
    const jobs = await Promise.all(ids.map((id) => world.redis.hgetall(id).catch(() => ({}))));
    expect(JSON.stringify(jobs)).toContain('user.question');
    expect(JSON.stringify(jobs) + world.log.text()).not.toContain(token.slice(-20));
  });

  test.each([
    ['in observe mode nobody is asked', { mode: 'observe', outcome: 'observed' }, 'all', 0],
    ['a flag is not asked about', { action: 'flag', outcome: 'none' }, 'ended', 0],
    ['what a person has blocked is not asked about', { reason: 'blocked' }, 'all', 0],
    ['a session that two held is', { reason: 'session_reused' }, 'ended', 1],
    ['unless all are', { action: 'flag', outcome: 'none' }, 'all', 1],
    ['an expired link is not sent', { decidedAtMs: Date.now() - 8 * DAY_MS }, 'ended', 0],
  ] as const)('%s', async (_name, over, ask, questions) => {
    const world = openWorld({ userLinks: { ...LINKS, ask } });
    const receiver = await openReceiver();
    world.start([{ url: receiver.url, secret: SECRET, events: ['user.question', 'incident.recorded', 'brake.reset'] }]);
    await world.notifier.tell(await world.record('alice', over));
    await until(() => receiver.received.length === 1 + questions);
    await world.notifier.tell({ event: 'brake.reset', atMs: 1, by: 'ann' });
    await until(() => typesOf(receiver).includes('brake.reset'));
    expect(typesOf(receiver).filter((type) => type === 'user.question')).toHaveLength(questions);
  });

  test('of two entries with one URL that which asks for it signs; where none does, the log says so', async () => {
    const world = openWorld({ userLinks: LINKS });
    const mailer = await openReceiver(OLD_SECRET);
    world.start([
      { url: mailer.url, secret: SECRET, events: ['brake.reset'] },
      { url: mailer.url, secret: OLD_SECRET, events: ['user.question'] },
    ]);
    await world.notifier.tell(await world.record('alice'));
    await until(() => mailer.received.length + mailer.forged.length > 0);
    expect([typesOf(mailer), mailer.forged]).toEqual([['user.question'], []]);
    expect(world.log.text()).not.toContain('user_question_unheard');
    const silent = openWorld({ userLinks: LINKS });
    silent.start([{ url: mailer.url, secret: OLD_SECRET }]);
    expect(silent.log.text()).toContain('user_question_unheard');
  });

  test('what was answered meanwhile is not asked', async () => {
    const world = openWorld({ userLinks: LINKS });
    const receiver = await openReceiver();
    world.start([{ url: receiver.url, secret: SECRET, events: ['user.question', 'brake.reset'] }]);
    const notice = await world.record('alice');
    const answer = { disposition: 'confirmed', by: 'ann', note: '', atMs: notice.atMs } as const;
    // While the first attempt is under way, which fails.
    receiver.answer = (...args) => void world.incidents.resolve(notice.caseId, answer).then(() => status(500)(...args));
    await world.notifier.tell(notice);
    const completed = `${world.keys.queuePrefix}:${NOTIFICATION_QUEUE}:completed`;
    await until(async () => (await world.redis.zcard(completed)) === 2);
    expect(typesOf(receiver)).toEqual(['user.question']);
    expect(await world.letters.count()).toBe(0);
  });

  test("the operator's own mail", async () => {
    const render = ({ caseNumber, link }: { caseNumber: string; link: string }) => ({
      subject: `Warst du das? ${caseNumber}`,
      text: link,
      html: '<p>',
    });
    const world = openWorld({ userLinks: { ...LINKS, render } });
    const receiver = await openReceiver();
    world.start([{ url: receiver.url, secret: SECRET, events: ['user.question'] }]);
    const notice = await world.record('alice');
    await world.notifier.tell(notice);
    await until(() => receiver.received.length === 1);
    expect(receiver.received[0]?.data).toMatchObject({ subject: `Warst du das? ${notice.caseId}`, html: '<p>' });
  });

  test('a render that throws: tried again, and nothing of its text lies in Redis or in the log', async () => {
    let hasFailed = false;
    const render = (context: MailContext) => {
      if (hasFailed) return questionMail(context);
      hasFailed = true;
      throw new Error(`no template for ${context.userId} at ${context.link}`);
    };
    const world = openWorld({ userLinks: { ...LINKS, render }, retryDelaysMs: [1000] });
    const receiver = await openReceiver();
    world.start([{ url: receiver.url, secret: SECRET, events: ['user.question'] }]);
    await world.notifier.tell(await world.record('alice'));
    await until(() => world.log.text().includes('"why":"render_failed"'));
    // The log is told first, then the job.
    const jobs = await until(async () => {
      const ids = await world.redis.keys(`*${world.keys.queuePrefix}:${NOTIFICATION_QUEUE}:user-*`);
      const text = JSON.stringify(await Promise.all(ids.map((id) => world.redis.hgetall(id).catch(() => ({})))));
      return text.includes('render_failed') && text;
    });
    for (const text of ['no template', '/was-this-you']) expect(jobs + world.log.text()).not.toContain(text);
    await until(() => receiver.received.length === 1);
  });

  test('what gives no mail is no mail', async () => {
    const world = openWorld({ userLinks: { ...LINKS, render: () => ({ subject: 'x' }) as Mail }, retryDelaysMs: [] });
    const receiver = await openReceiver();
    world.start([{ url: receiver.url, secret: SECRET, events: ['user.question'] }]);
    await world.notifier.tell(await world.record('alice'));
    await until(async () => (await world.letters.list(10))[0]?.why === 'render_failed');
    expect(receiver.received).toEqual([]);
  });

  test('one open question per user and place, and at most three a day; the others only count', async () => {
    const world = openWorld({ userLinks: LINKS });
    const receiver = await openReceiver();
    world.start([{ url: receiver.url, secret: SECRET, events: ['user.question'] }]);
    let logins = 0;
    const tell = async (userId: string) => {
      const notice = await world.record(userId, { lid: `login-${++logins}`.padEnd(38, '0') });
      await world.notifier.tell(notice);
      return notice.caseId;
    };
    const held = async () => (await redisCounters(world.redis, world.keys).read())['questions:held'] ?? 0;
    const asked = (count: number) => until(() => receiver.received.length === count);
    const first = await tell('alice');
    await asked(1);
    await tell('alice');
    await until(async () => (await held()) === 1);
    await tell('bob');
    await asked(2);
    // Answered: the next one may ask again, up to three in a day.
    const answer = { disposition: 'confirmed', by: 'ann', note: '', atMs: Date.now() } as const;
    await world.incidents.resolve(first, answer);
    for (const count of [3, 4]) {
      const caseId = await tell('alice');
      await asked(count);
      await world.incidents.resolve(caseId, answer);
    }
    await tell('alice');
    await until(async () => (await held()) === 2);
    expect(receiver.received.map(({ data }) => data.userId)).toEqual(['alice', 'bob', 'alice', 'alice']);
  });

  test('of workers that ask at the same moment no more than three may; a repeat may again', async () => {
    const world = openWorld();
    const questions = redisQuestions(world.redis, world.keys, DAY_MS);
    const claim = (i: number, nowMs = 1e12) => questions.claim('alice', { caseId: `CASE-${i}`, place: 'NG' }, 3, nowMs);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => claim(i)));
    expect(answers.filter(Boolean)).toHaveLength(3);
    expect([await claim(answers.indexOf(true)), await claim(answers.indexOf(false))]).toEqual([true, false]);
    expect(await questions.asked('alice', 1e12)).toHaveLength(3);
    expect(await claim(30, 1e12 + DAY_MS)).toBe(true);
  });
});
