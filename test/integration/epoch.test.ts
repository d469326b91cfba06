import { describe, expect, test } from '@jest/globals';
import { loginId, randomToken } from '../../src/web/handle.ts';
import { WebTier } from '../support/admin.ts';

const BY = { by: 'ann', why: 'account disabled' };
const DATA = { cookie: {}, userId: 'alice' };

/** A login that began before `endAll`, whose enrolment and save go out at one of its steps. */
describe('endAll while a login is in flight', () => {
  test.each(['before the epoch', 'between the epoch and the ends', 'after the ends'])(
    'saved %s: dead',
    async (when) => {
      const web = new WebTier();
      const engine = web.engine();
      const lid = loginId('alice');
      const id = randomToken();
      const entry = engine.fresh(id, lid);
      web.now += 5;
      const save = () => engine.save(entry, DATA, null);
      const bar = web.registry.bar;
      web.registry.bar = async (...args) => {
        const entries = await bar(...args);
        if (when === 'between the epoch and the ends') await save();
        return entries;
      };
      if (when === 'before the epoch') await save();
      await web.admin.endAll('alice', BY);
      if (when === 'after the ends') expect(await save()).toBe('revoked');
      expect(await web.lives(id)).toBe(false);
      expect(await web.admin.list('alice')).toEqual([]);
    },
  );

  test('a new id of an old login, of which the registry had lost sight, is refused and buried', async () => {
    const web = new WebTier();
    const engine = web.engine();
    const { id, lid } = await web.login('alice', engine);
    const opened = await engine.open(id);
    if (opened.kind !== 'live') throw new Error('not live');
    const { userTag } = await import('../../src/redis/keys.ts');
    const tag = userTag('alice');
    await web.redis.unlink(web.keys.userLogins(tag), web.keys.userEntries(tag));
    web.now += 5;
    expect(await web.admin.endAll('alice', BY)).toEqual({ ended: 0, failed: 0 });
    const next = randomToken();
    expect(await engine.save(await engine.move(opened.entry, id, next), DATA, null)).toBe('revoked');
    expect(await web.lives(next)).toBe(false);
    expect(await web.redis.get(web.keys.loginEnd(lid))).toBeNull();
  });

  test('a login after endAll has answered lives, and so does another user', async () => {
    const web = new WebTier();
    const bob = await web.login('bob');
    await web.login('alice');
    expect(await web.admin.endAll('alice', BY)).toEqual({ ended: 1, failed: 0 });
    web.now += 1;
    const again = await web.login('alice');
    expect([again.outcome, await web.lives(again.id), await web.lives(bob.id)]).toEqual(['live', true, true]);
  });

  test('the epoch never goes back', async () => {
    const web = new WebTier();
    await web.admin.endAll('alice', BY);
    web.now -= 60_000;
    await web.admin.endAll('alice', BY);
    web.now += 59_000;
    expect((await web.login('alice')).outcome).toBe('revoked');
  });
});
