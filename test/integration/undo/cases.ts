/**
 * An end that is taken back, against everything that may run beside it. Letters as in interleavings/cases.ts, and U undo, R a
 * re-check of K, N a new end of the same login. Each command that matters is placed.
 */
import { expect } from '@jest/globals';
import type { UndoOutcome } from '../../../src/desk-ports.ts';
import type { Revocation, RevokeResult } from '../../../src/ports.ts';
import { type Mutation, redisSessions } from '../../../src/redis/ender.ts';
import { redisUndo } from '../../../src/redis/undo.ts';
import { Hooks, hookUp, type Leaving } from '../../support/hooked-redis.ts';
import { connect } from '../../support/index.ts';
import type { Handler, Visitor, World } from '../interleavings/harness.ts';

export interface UndoCase {
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
const is = (name: string) => (command: Leaving) => command.name === name;

const LONG_MS = 1_000_000;
/** When K was decided: every later act is later. */
const ended = new WeakMap<Visitor, number>();

/** A party with a connection of its own, whose commands can be stopped. */
export function party(world: World): { hooks: Hooks; redis: ReturnType<typeof connect> } {
  const hooks = new Hooks();
  return { hooks, redis: hookUp(connect(`redis://127.0.0.1:${world.redis.options.port}`), hooks) };
}

export async function kill(world: World, visitor: Visitor): Promise<string> {
  // The cookie of before: the bounce clears it in the browser.
  const cookie = [...visitor.cookies].at(-1) ?? '';
  const atMs = Date.now() - 60_000;
  ended.set(visitor, atMs);
  await world.revoke(visitor, { atMs });
  return cookie;
}

export function undo(
  world: World,
  { lid, handle }: Visitor,
  redis = world.redis,
  loginAtMs?: number,
): Promise<UndoOutcome> {
  return redisUndo(redis, world.keys).lift({ lid, handle, atMs: Date.now(), loginAtMs });
}

/** R: what a delayed job or the worker's memory does. */
export async function recheck(
  world: World,
  visitor: Visitor,
  redis = world.redis,
  mutation?: Mutation,
): Promise<RevokeResult> {
  const { lid, handle } = visitor;
  const one = {
    lid,
    handle,
    reason: 'country_changed',
    caseId: 'AAAA-BBBB-CCCC',
    atMs: ended.get(visitor) ?? 0,
  } as const;
  const sessions = redisSessions(redis, world.keys, LONG_MS, mutation);
  const [result] = await sessions.revoke([{ ...one, repeat: true, again: true }]);
  if (result === undefined || result instanceof Error) throw result;
  return result;
}

const anew = (world: World, visitor: Visitor, how: Partial<Revocation> = {}, redis = world.redis) =>
  world.revoke(visitor, { reason: 'session_reused', caseId: 'NEXT', atMs: Date.now(), ...how }, redis);

async function lives(visitor: Visitor, cookie: string): Promise<void> {
  expect(await visitor.user(cookie)).toBe('alice');
}

export const EVERYWHERE: readonly UndoCase[] = [
  { name: 'K, bounced, U: the same cookie is logged in again', run: bouncedThenGivenBack },
  { name: 'K U, then a request writes, moves and logs out as ever', run: livesOn },
  { name: 'L K U S: the request in flight may save', run: (world) => inFlight(world, save) },
  { name: 'L K U M S: the request in flight may move', run: (world) => inFlight(world, all(move, change)) },
  { name: 'L K D U: who logged out meanwhile is not logged in again', run: loggedOutMeanwhile },
  { name: 'L M S K U: the newest id lives, the old one is moved again', run: movedBefore },
  {
    name: 'L K M(refused) U: the new id, of which nothing was ever stored, stays dead; the old one lives',
    run: moveRefused,
  },
];

export const CASES: readonly UndoCase[] = [
  { name: 'U without K', run: nothingEnded },
  { name: 'K U U', run: twice },
  { name: 'K U and U at the same time', run: twoAtOnce },
  { name: 'K U R: a repeat of the lifted end does nothing', run: repeated },
  { name: 'K U, the job of K is done again, decided later', run: jobAgain },
  { name: 'K U N: ended again, with the new reason; N U: given back again', run: endedAnew },
  { name: 'K U N, the clock of N is behind', run: (world) => behind(world, 'session_reused') },
  { name: 'K U forced logout, the clock is behind', run: (world) => behind(world, 'forced_logout') },
  { name: 'K forced logout U: a person logged it out', run: forcedToo },
  { name: 'forced logout U', run: forcedOnly },
  { name: 'K epoch U: all of the user were ended', run: barred },
  { name: 'K U epoch: the login is found and ended', run: barredAfter },
  { name: 'R(mark) U R(key): the re-check puts back what it ended', run: recheckBetween },
  { name: 'R(mark) U(mark) R(key) U(key)', run: recheckInside },
  { name: 'U(mark) N U(key): ended again, never given back', run: (world) => newInside(world, 'session_reused') },
  { name: 'U(mark) forced logout U(key)', run: (world) => newInside(world, 'forced_logout') },
  { name: 'U(mark) N(mark) U(key) N(key)', run: newAround },
  { name: 'U(mark, enrolled) N U(key): the tombstone has another name', run: newAfterEnrolled },
  { name: 'U(mark, enrolled) N U(key), the clock of N is behind', run: newAfterEnrolledBehind },
  { name: 'U(mark) endAll U(key), the registry had dropped the login', run: barredInside },
  { name: 'U(mark) dies, U again', run: died },
  { name: 'the mark is lost, the tombstones stand', run: markLost },
];

async function bouncedThenGivenBack(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  expect(await alice.send('/me')).toMatchObject({ status: 303, location: '/gotcha?case=AAAA-BBBB-CCCC' });
  expect(await alice.send('/me', cookie)).toMatchObject({ status: 303 });
  expect(await undo(world, alice)).toBe('given_back');
  await lives(alice, cookie);
}

async function livesOn(world: World): Promise<void> {
  const alice = await world.alice();
  await kill(world, alice);
  await undo(world, alice);
  await (await alice.start(all(change, save))).end();
  const moved = await alice.start();
  await moved.end(all(move, change));
  expect(moved.id()).not.toBe(alice.id);
  expect(await alice.user()).toBe('alice');
  await (await alice.start(destroy)).end();
  expect(await alice.user()).toBe(null);
}

async function inFlight(world: World, after: Handler): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start();
  await kill(world, alice);
  expect(await undo(world, alice)).toBe('given_back');
  expect((await flight.end(after)).status).toBe(200);
  expect(await alice.user()).toBe('alice');
}

async function loggedOutMeanwhile(world: World): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start();
  await kill(world, alice);
  await flight.end(destroy);
  expect(await undo(world, alice)).toBe('gone');
  await world.expectDead(alice);
  expect(await world.stateOf(alice.id)).toBe('logout');
}

async function movedBefore(world: World): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start(all(move, save));
  await flight.end();
  await kill(world, alice);
  expect(await world.stateOf(alice.id)).toBe('revoked');
  expect(await undo(world, alice)).toBe('given_back');
  expect([await world.stateOf(alice.id), await world.stateOf(flight.id())]).toEqual(['moved', 'live']);
  expect(await alice.user()).toBe('alice');
}

async function moveRefused(world: World): Promise<void> {
  const alice = await world.alice();
  const flight = await alice.start();
  const cookie = await kill(world, alice);
  await flight.end(all(move, change));
  expect(await undo(world, alice)).toBe('given_back');
  await lives(alice, cookie);
  expect(await world.stateOf(flight.id())).toBe('revoked');
}

async function nothingEnded(world: World): Promise<void> {
  const alice = await world.alice();
  expect(await undo(world, alice)).toBe('not_ended');
  expect(await world.redis.exists(world.keys.loginEnd(alice.lid))).toBe(0);
  expect(await alice.user()).toBe('alice');
  await world.redis.del(world.key(alice.id));
  expect(await undo(world, alice)).toBe('gone');
}

async function twice(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  expect([await undo(world, alice), await undo(world, alice)]).toEqual(['given_back', 'given_back']);
  await lives(alice, cookie);
}

async function twoAtOnce(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  const one = party(world);
  const held = one.hooks.hold(is('undo'));
  const first = undo(world, alice, one.redis);
  await held.reached;
  expect(await undo(world, alice)).toBe('given_back');
  held.release();
  expect(await first).toBe('given_back');
  await lives(alice, cookie);
}

async function repeated(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  await undo(world, alice);
  expect(await recheck(world, alice)).toMatchObject({ outcome: 'other_login', lifted: true });
  await lives(alice, cookie);
}

/** A worker that had died before it had recorded the incident; whoever is this late decides the same. */
async function jobAgain(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  await undo(world, alice);
  const late = await world.revoke(alice, { atMs: (ended.get(alice) ?? 0) + 5000 });
  expect(late).toMatchObject({ lifted: true });
  await lives(alice, cookie);
}

async function endedAnew(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  await undo(world, alice);
  expect(await anew(world, alice)).toMatchObject({ outcome: 'revoked' });
  expect(await alice.send('/me', cookie)).toMatchObject({ status: 303, location: '/gotcha?case=NEXT' });
  await world.expectDead(alice);
  expect(await undo(world, alice)).toBe('given_back');
  await lives(alice, cookie);
}

async function behind(world: World, reason: Revocation['reason']): Promise<void> {
  const alice = await world.alice();
  await kill(world, alice);
  await undo(world, alice);
  expect(await anew(world, alice, { reason, atMs: Date.now() - 30_000 })).toMatchObject({ outcome: 'revoked' });
  await world.expectDead(alice);
}

async function forcedToo(world: World): Promise<void> {
  const alice = await world.alice();
  await kill(world, alice);
  await anew(world, alice, { reason: 'forced_logout' });
  expect(await undo(world, alice)).toBe('blocked');
  await world.expectDead(alice);
}

async function forcedOnly(world: World): Promise<void> {
  const alice = await world.alice();
  await anew(world, alice, { reason: 'forced_logout' });
  expect(await undo(world, alice)).toBe('blocked');
  await world.expectDead(alice);
}

async function barred(world: World): Promise<void> {
  const alice = await world.alice();
  await kill(world, alice);
  await world.bar();
  expect(await undo(world, alice)).toBe('blocked');
  expect(await world.redis.get(world.keys.loginEnd(alice.lid))).not.toContain('lifted');
  await world.expectDead(alice);
}

/** The registry had dropped the login as dead: given back, it is on record again. */
async function barredAfter(world: World): Promise<void> {
  const alice = await world.alice();
  const loginAtMs = Date.now();
  const cookie = await kill(world, alice);
  const before = await world.listed();
  expect(before).not.toContain(alice.lid);
  expect(await undo(world, alice, world.redis, loginAtMs)).toBe('given_back');
  expect(await world.listed()).toContain(alice.lid);
  await lives(alice, cookie);
  await world.endAll();
  await world.expectDead(alice);
}

async function recheckBetween(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  await recheckAgainstUndo(world, alice);
  await lives(alice, cookie);
}

/** R has read the mark as standing, U runs as a whole, then R goes on to the keys. */
export async function recheckAgainstUndo(world: World, alice: Visitor, mutation?: Mutation): Promise<void> {
  const one = party(world);
  const held = one.hooks.hold(is('revoke'));
  const repeat = recheck(world, alice, one.redis, mutation);
  await held.reached;
  expect(await undo(world, alice)).toBe('given_back');
  held.release();
  await repeat;
}

async function recheckInside(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  const [one, two] = [party(world), party(world)];
  const key = one.hooks.hold(is('revoke'));
  const repeat = recheck(world, alice, one.redis);
  await key.reached;
  const held = two.hooks.hold(is('undo'));
  const lift = undo(world, alice, two.redis);
  await held.reached;
  key.release();
  expect(await repeat).toMatchObject({ lifted: true });
  held.release();
  expect(await lift).toBe('given_back');
  await lives(alice, cookie);
}

async function newInside(world: World, reason: Revocation['reason']): Promise<void> {
  const alice = await world.alice();
  await kill(world, alice);
  const one = party(world);
  const held = one.hooks.hold(is('enroll'));
  const lift = undo(world, alice, one.redis);
  await held.reached;
  await anew(world, alice, { reason });
  held.release();
  expect(await lift).toBe('blocked');
  await world.expectDead(alice);
}

async function newAround(world: World): Promise<void> {
  const alice = await world.alice();
  await kill(world, alice);
  const [one, two] = [party(world), party(world)];
  const put = one.hooks.hold(is('undo'));
  const lift = undo(world, alice, one.redis);
  await put.reached;
  const key = two.hooks.hold(is('revoke'));
  const end = anew(world, alice, {}, two.redis);
  await key.reached;
  put.release();
  expect(await lift).toBe('blocked');
  key.release();
  expect(await end).toMatchObject({ outcome: 'revoked' });
  await world.expectDead(alice);
}

async function newAfterEnrolled(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  const one = party(world);
  const put = one.hooks.hold(is('undo'));
  const lift = undo(world, alice, one.redis);
  await put.reached;
  await anew(world, alice);
  put.release();
  expect(await lift).toBe('blocked');
  expect(await alice.send('/me', cookie)).toMatchObject({ status: 303, location: '/gotcha?case=NEXT' });
  await world.expectDead(alice);
}

/** Its tombstone must be told from the one that may still be put back. */
async function newAfterEnrolledBehind(world: World): Promise<void> {
  const alice = await world.alice();
  await kill(world, alice);
  const one = party(world);
  const put = one.hooks.hold(is('undo'));
  const lift = undo(world, alice, one.redis);
  await put.reached;
  await anew(world, alice, { atMs: Date.now() - 30_000 });
  put.release();
  expect(await lift).toBe('blocked');
  expect(await world.stateOf(alice.id)).toBe('revoked');
  await world.expectDead(alice);
}

/** `endAll` cannot know of the login; it enrols after that, and is told. */
async function barredInside(world: World): Promise<void> {
  const alice = await world.alice();
  const loginAtMs = Date.now();
  await kill(world, alice);
  expect(await world.listed()).not.toContain(alice.lid);
  const one = party(world);
  const held = one.hooks.hold(is('enroll'));
  const lift = undo(world, alice, one.redis, loginAtMs);
  await held.reached;
  await world.endAll();
  held.release();
  expect(await lift).toBe('blocked');
  await world.expectDead(alice);
}

async function died(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  const one = party(world);
  one.hooks.fail(is('undo'));
  await expect(undo(world, alice, one.redis)).rejects.toThrow('Connection is closed.');
  expect(await world.stateOf(alice.id)).toBe('revoked');
  expect(await undo(world, alice)).toBe('given_back');
  await lives(alice, cookie);
}

async function markLost(world: World): Promise<void> {
  const alice = await world.alice();
  const cookie = await kill(world, alice);
  await world.redis.del(world.keys.loginEnd(alice.lid));
  expect(await undo(world, alice)).toBe('given_back');
  expect(await recheck(world, alice)).toMatchObject({ lifted: true });
  await lives(alice, cookie);
}
