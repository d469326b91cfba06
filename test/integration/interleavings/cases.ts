/**
 * The interleavings, one function each. L load, W handler, S save, T touch, D destroy, M move, K revoke, E enqueue,
 * X expiry. Each step is placed: a request waits in its handler, a command waits before it leaves.
 */
import { expect } from '@jest/globals';
import type { Incident } from '../../../src/domain/incident.ts';
import { redisIncidents } from '../../../src/redis/incidents.ts';
import { type Hooks, hookUp, type Leaving } from '../../support/hooked-redis.ts';
import { release } from '../../support/index.ts';
import type { Flight, Handler, InHandler, Visitor, World } from './harness.ts';

export interface Case {
  /** As numbered in docs/sessions.md. */
  readonly number: number;
  readonly name: string;
  readonly run: (world: World) => Promise<void>;
}

const change: Handler = async (session) => session.change();
const save: Handler = (session) => session.save();
const move: Handler = (session) => session.regenerate();
const destroy: Handler = (session) => session.destroy();
const all =
  (...handlers: Handler[]): Handler =>
  async (session) => {
    for (const one of handlers) await one(session);
  };

const is =
  (...names: string[]) =>
  (command: Leaving): boolean =>
    names.includes(command.name);

export const CASES: readonly Case[] = [
  { number: 1, name: 'K before L: bounced, the handler is not run', run: killedBeforeLoad },
  { number: 2, name: 'L K S(changed)', run: (world) => duringOne(world, { before: change }) },
  { number: 3, name: "L K T: the tombstone's time to live is unchanged", run: killedBeforeTouch },
  { number: 4, name: 'L K S(explicit) S(automatic): both refused, the response whole', run: bothSavesRefused },
  { number: 5, name: 'L S K', run: (world) => duringOne(world, { before: all(change, save) }) },
  { number: 6, name: 'twenty parallel L, K, all S', run: twentyParallel },
  {
    number: 7,
    name: 'L K M S(new): the new id is dead',
    run: (world) => duringOne(world, { after: all(move, change) }),
  },
  { number: 8, name: 'L M K S(new): the new id is dead before its first save', run: deadBeforeFirstSave },
  {
    number: 9,
    name: 'L M S(new) K: the chain is followed',
    run: (world) => duringOne(world, { before: all(move, save) }),
  },
  { number: 10, name: 'L1 L2 M1 M2 K (two tabs): both children are dead', run: twoTabs },
  { number: 11, name: 'M M M, K on the root', run: threeMoves },
  // Index add and mark read are one script, so nothing comes between them: right before it, and right after it.
  { number: 12, name: 'K between index add and mark read', run: (world) => killedAt(world, is('enroll', 'enter')) },
  { number: 12, name: 'K between mark read and save', run: (world) => killedAt(world, is('save', 'enter')) },
  { number: 13, name: 'E K S1', run: killedBeforeFirstSave },
  { number: 14, name: 'S1 E K S2', run: killedInLoginRequest },
  { number: 15, name: 'E with the id before login: goes by lid', run: reportedUnderOldId },
  { number: 16, name: 'L D S(stale): logged out, no gotcha page', run: staleAfterLogout },
  { number: 17, name: 'L K D S(stale): dead, gotcha page', run: logoutAfterKill },
  { number: 18, name: 'L D K: revoked, the reason recorded', run: killedAfterLogout },
  { number: 19, name: 'K X S(stale): refused', run: (world) => lostThenSaved(world, true, expire) },
  { number: 20, name: 'L X S: not revived', run: (world) => lostThenSaved(world, false, expire) },
  { number: 21, name: 'FLUSHALL between L and S: not revived', run: (world) => lostThenSaved(world, false, flushAll) },
  { number: 22, name: 'K K (retry): same reason and time, one incident', run: killedTwice },
  { number: 23, name: 'same id, later login lid2, late job for lid1: lid2 lives', run: lateJob },
  { number: 24, name: 'a socket holds the session, K, the socket saves: refused', run: socketSaves },
  { number: 26, name: 'SCRIPT FLUSH between any two steps', run: scriptsFlushed },
  { number: 27, name: 'the app ignores the error of regenerate: the new id is still dead', run: errorIgnored },
];

/** Where the others are: they need no web framework. */
export const ELSEWHERE: Readonly<Record<number, string>> = {
  25: 'K on the master, failover to a stale replica: rechecks.test.ts',
};

async function duringOne(world: World, { before, after }: { before?: Handler; after?: Handler }): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start(before);
  await world.revoke(alice);
  expect((await flight.end(after)).status).toBe(200);
  await world.expectDead(alice);
  expect(await world.stateOf(flight.id())).toBe('revoked');
}

async function killedBeforeLoad(world: World): Promise<void> {
  const alice = await world.alice();
  await world.revoke(alice);
  let ran = false;
  const path = world.path(async () => {
    ran = true;
  });
  const answer = await alice.send(path);
  expect([answer.status, answer.location, ran]).toEqual([303, '/gotcha?case=AAAA-BBBB-CCCC', false]);
  await world.expectDead(alice);
}

async function killedBeforeTouch(world: World): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start();
  await world.revoke(alice);
  const key = world.key(alice.id);
  const [value, endsAt] = [await world.redis.get(key), await world.redis.pexpiretime(key)];
  await flight.end();
  expect([await world.redis.get(key), await world.redis.pexpiretime(key)]).toEqual([value, endsAt]);
  await world.expectDead(alice);
}

async function bothSavesRefused(world: World): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start();
  await world.revoke(alice);
  const before = world.refused()['save:revoked'] ?? 0;
  const answer = await flight.end(all(change, save, change));
  expect([answer.status, answer.body]).toEqual([200, '{"user":"alice"}']);
  expect((world.refused()['save:revoked'] ?? 0) - before).toBe(2);
  await world.expectDead(alice);
}

async function twentyParallel(world: World): Promise<void> {
  const alice = await world.alice();
  const flights = await Promise.all(Array.from({ length: 20 }, () => alice.start(change)));
  await world.revoke(alice);
  for (const answer of await Promise.all(flights.map((flight) => flight.end()))) expect(answer.status).toBe(200);
  await world.expectDead(alice);
}

async function deadBeforeFirstSave(world: World): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start(move);
  await world.revoke(alice);
  expect(flight.id()).not.toBe(alice.id);
  // Moved by its first save, or (where regenerate itself saves) already.
  expect(['absent', 'revoked']).toContain(await world.stateOf(flight.id()));
  await flight.end(change);
  expect(await world.stateOf(flight.id())).toBe('revoked');
  await world.expectDead(alice);
}

async function twoTabs(world: World): Promise<void> {
  const alice = await world.alice();
  const flights = [await alice.start(), await alice.start()] as const;
  const moved = [held(flights[0]), held(flights[1])] as const;
  await Promise.all(moved.map((one) => one.reached));
  await world.revoke(alice);
  await Promise.all(moved.map((one) => one.end()));
  expect(new Set([alice.id, ...flights.map((flight) => flight.id())]).size).toBe(3);
  for (const flight of flights) expect(await world.stateOf(flight.id())).toBe('revoked');
  await world.expectDead(alice);
}

/** Moves a flight's session and holds the request there. */
function held(flight: Flight): { reached: Promise<void>; end(): Promise<unknown> } {
  let reach = () => {};
  let go = () => {};
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const gone = new Promise<void>((resolve) => {
    go = resolve;
  });
  const answer = flight.end(async (session) => {
    await session.regenerate();
    reach();
    await gone;
  });
  return {
    reached,
    end: () => {
      go();
      return answer;
    },
  };
}

async function threeMoves(world: World): Promise<void> {
  const alice = await world.alice();
  const ids = [alice.id];
  for (let i = 0; i < 3; i++) {
    const flight = await alice.start(move);
    await flight.end();
    ids.push(flight.id());
  }
  expect(await alice.user()).toBe('alice');
  expect(await Promise.all(ids.map((id) => world.stateOf(id)))).toEqual(['moved', 'moved', 'moved', 'live']);
  await world.revoke(alice);
  expect(await Promise.all(ids.map((id) => world.stateOf(id)))).toEqual(Array(4).fill('revoked'));
  await world.expectDead(alice);
}

/** The chain does not lead the revoker to the new id here: only the index and the mark can. */
async function killedAt(world: World, matches: (command: Leaving) => boolean): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start();
  const stopped = world.hooks.hold(matches);
  const answer = flight.end(all(move, save));
  await stopped.reached;
  await world.revoke(alice, { handle: 'x'.repeat(43) });
  stopped.release();
  expect((await answer).status).toBe(200);
  expect(await world.stateOf(flight.id())).toBe('revoked');
  await world.expectDead(alice);
}

async function killedBeforeFirstSave(world: World): Promise<void> {
  const alice = world.visitor();
  const stopped = world.hooks.hold(is('enter', 'enroll'));
  const result = alice.login();
  const { name, args } = await stopped.reached;
  const [lid = '', handle = ''] = args.slice(name === 'enter' ? 6 : 5);
  alice.lid = lid;
  expect(await world.revoke(alice, { handle })).toMatchObject({ outcome: 'not_found' });
  stopped.release();
  expect(await result).toMatchObject({ saved: false });
  expect(await world.stateOf(alice.id)).toBe('revoked');
  await world.expectDead(alice);
}

async function killedInLoginRequest(world: World): Promise<void> {
  const alice = world.visitor();
  const flight = await alice.start(async (session) => {
    const { lid, status } = await session.login('alice');
    expect(status).toBe('queued');
    Object.assign(alice, { lid });
    alice.named(session.id());
  });
  expect(await world.stateOf(alice.id)).toBe('live');
  await world.revoke(alice);
  expect((await flight.end(change)).status).toBe(200);
  await world.expectDead(alice);
}

async function reportedUnderOldId(world: World): Promise<void> {
  const alice = world.visitor();
  const before = await alice.start(all(change, save));
  await before.end();
  await alice.login();
  const { handle } = alice;
  alice.named(before.id());
  expect(alice.handle).not.toBe(handle);
  const flight = await alice.start(change);
  await world.revoke(alice);
  await flight.end();
  await world.expectDead(alice);
}

async function staleAfterLogout(world: World): Promise<void> {
  const alice = await world.alice();
  const stale = await alice.start(change);
  const cookies = [...alice.cookies];
  await (await alice.start()).end(destroy);
  await stale.end();
  await world.expectDead(alice);
  expect(await world.stateOf(alice.id)).toBe('logout');
  for (const cookie of cookies) expect((await alice.send('/me', cookie)).status).toBe(200);
}

async function logoutAfterKill(world: World): Promise<void> {
  const alice = await world.alice();
  const [stale, leaving] = [await alice.start(change), await alice.start()];
  const [cookie = ''] = alice.cookies;
  await world.revoke(alice);
  await leaving.end(destroy);
  await stale.end();
  await world.expectDead(alice);
  expect(await alice.send('/me', cookie)).toMatchObject({ status: 303, location: '/gotcha?case=AAAA-BBBB-CCCC' });
}

async function killedAfterLogout(world: World): Promise<void> {
  const alice = await world.alice();
  await (await alice.start()).end(destroy);
  expect(await world.stateOf(alice.id)).toBe('logout');
  expect(await world.revoke(alice)).toMatchObject({ outcome: 'revoked' });
  expect(await world.redis.get(world.key(alice.id))).toContain('"reason":"country_changed","case":"AAAA-BBBB-CCCC"');
  await world.expectDead(alice);
}

const expire = (world: World, { id }: Visitor) => world.redis.del(world.key(id));
const flushAll = (world: World) => world.everywhere('FLUSHALL');

async function lostThenSaved(
  world: World,
  killed: boolean,
  lose: (world: World, visitor: Visitor) => Promise<unknown>,
): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start(change);
  if (killed) await world.revoke(alice);
  await lose(world, alice);
  expect((await flight.end(all(save, change))).status).toBe(200);
  expect(await world.stateOf(alice.id)).toBe('absent');
  await world.expectDead(alice);
}

async function killedTwice(world: World): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start(change);
  const first = await world.revoke(alice);
  const value = await world.redis.get(world.key(alice.id));
  const incidents = redisIncidents(world.redis, world.keys, 1e9);
  expect(await incidents.record([incidentOf(alice)])).toEqual([true]);
  await flight.end();
  const again = await world.revoke(alice, { reason: 'forced_logout', caseId: 'OTHER', atMs: Date.now() + 5000 });
  expect(again).toMatchObject(first);
  expect(await world.redis.get(world.key(alice.id))).toBe(value);
  expect(await incidents.record([incidentOf(alice)])).toEqual([false]);
  await world.expectDead(alice);
}

function incidentOf({ lid, handle }: Visitor): Incident {
  const sighting = { kind: 'located', address: '192.0.2.1', family: 4, candidates: ['GB'], agreed: true, evidence: [] };
  const what = {
    id: `CASE-${lid.slice(0, 8)}`,
    lid,
    handle,
    userId: 'alice',
    action: 'revoke',
    reason: 'country_changed',
  };
  const times = { loginAtMs: 1, queuedAtMs: 1, decidedAtMs: 1 };
  const baseline = { v4: { places: [], networks: [] }, v6: { places: [], networks: [] } };
  return { ...what, ...times, mode: 'enforce', outcome: 'revoked', baseline, sighting } as unknown as Incident;
}

async function lateJob(world: World): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start(change);
  expect(await world.revoke(alice, { lid: 'e'.repeat(22) })).toMatchObject({ outcome: 'other_login' });
  await flight.end();
  expect(await alice.user()).toBe('alice');
}

async function socketSaves(world: World): Promise<void> {
  const alice = await world.alice();
  let socket: InHandler | undefined;
  const flight = await alice.start(async (session) => {
    socket = session;
  });
  await flight.end();
  await world.revoke(alice);
  socket?.change();
  await socket?.save();
  expect(await world.stateOf(alice.id)).toBe('revoked');
  await world.expectDead(alice);
}

async function scriptsFlushed(world: World): Promise<void> {
  const flush = () => world.everywhere('SCRIPT', 'FLUSH');
  const revoker = hookedRevoker(world, world.hooks);
  world.hooks.always(flush);
  try {
    const alice = await world.alice();
    await (await alice.start(all(change, save))).end();
    const flights = [await alice.start(change), await alice.start(all(move, save)), await alice.start(move)];
    await world.revoke(alice, {}, revoker);
    for (const flight of flights) expect((await flight.end(change)).status).toBe(200);
    for (const flight of flights) expect(await world.stateOf(flight.id())).toBe('revoked');
    await world.expectDead(alice);
  } finally {
    world.hooks.always(null);
  }
}

function hookedRevoker({ redis }: World, hooks: Hooks) {
  const own = redis.duplicate();
  release(() => own.disconnect());
  return hookUp(own, hooks);
}

async function errorIgnored(world: World): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start();
  await world.revoke(alice);
  world.hooks.fail(is('move', 'enter'));
  await flight.end(all(move, change, save, change));
  expect(flight.id()).not.toBe(alice.id);
  expect(['absent', 'revoked']).toContain(await world.stateOf(flight.id()));
  await world.expectDead(alice);
}
