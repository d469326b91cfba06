/** `session-bouncer brake show | reset` and `report`: what the safety brake holds, and what observing would have ended. */

import { Command, InvalidArgumentError } from 'commander';
import type { BrakeCounts, BrakeState } from '../domain/brake.ts';
import { redisBrake } from '../redis/brake.ts';
import { redisObserved, type WouldHaveEnded } from '../redis/observed.ts';
import { command, configOf, type Options, withRedis } from './context.ts';
import { print, printJson } from './terminal.ts';
import { instant } from './time.ts';
import { actorOf, whyOf, withDesk, withReasons } from './with-desk.ts';

const DAY_MS = 86_400_000;
const MAX_DAYS = 30;

export function brakeCommand(): Command {
  const brake = new Command('brake').description('the safety brake: see it, let it go');
  brake.addCommand(command('show', 'does it hold, and why? Exit code 1 when it does').action(show));
  brake.addCommand(withReasons(command('reset', 'let it go: sessions are ended again')).action(reset));
  return brake;
}

/** Each cause as a person would say it. */
const of = ({ revokes, logins }: BrakeCounts): string => `${revokes} users in ${logins} logins`;

function sentence(state: BrakeState): string {
  if (state.kind === 'off') return 'The brake is off: each worker observes, or was told to have none.';
  if (state.kind === 'enforcing') return 'The brake does not hold: workers that enforce end sessions.';
  const { atMs, why, window, day } = state.trip;
  const share = why === 'share' ? 'too large a share of its window' : 'far more than in the day before';
  const counts = `${of(window)} in the window, ${of(day)} in the day`;
  return `The brake holds since ${instant(atMs)} UTC: ${share} would be ended (${counts}). Nothing is ended.`;
}

async function show(options: Options): Promise<void> {
  const state = await withRedis(configOf(options).config, (redis, keys) => redisBrake(redis, keys).state());
  if (options.json) printJson(state);
  else print(sentence(state));
  if (state.kind === 'tripped') process.exitCode = 1;
}

async function reset(options: Options): Promise<void> {
  const { config } = configOf(options);
  const before = await withDesk(config, (desk) => desk.resetBrake(whyOf(options), actorOf(options)));
  if (options.json) printJson(before);
  else print(before.kind === 'tripped' ? 'The brake is let go: sessions are ended again.' : 'The brake did not hold.');
}

export function reportCommand(): Command {
  return command('report', 'what enforcing would have ended while the workers only observed')
    .option('--days <days>', `of so many days, up to ${MAX_DAYS}`, days, 7)
    .action(report);
}

function days(text: string): number {
  const number = Number(text);
  if (/^\d{1,2}$/.test(text) && number >= 1 && number <= MAX_DAYS) return number;
  throw new InvalidArgumentError(`Give a whole number from 1 to ${MAX_DAYS}.`);
}

async function report(options: Options): Promise<void> {
  const count = options.days as number;
  const toMs = Date.now();
  const fromMs = toMs - count * DAY_MS;
  const ended = await withRedis(configOf(options).config, (redis, keys) =>
    redisObserved(redis, keys).read(fromMs, toMs),
  );
  if (options.json) printJson({ fromMs, toMs, wouldHaveEnded: ended });
  else print(`The last ${count} days: ${ended === null ? 'nothing would have been ended' : wouldHave(ended)}.`);
}

const wouldHave = ({ sessions, users }: WouldHaveEnded): string =>
  `would have ended ${sessions} ${sessions === 1 ? 'session' : 'sessions'} of about ${users} ${users === 1 ? 'user' : 'users'}`;
