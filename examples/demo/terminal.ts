/** What the demo says in the terminal. Text from outside is printed only where its letters are known. */
import { CITIES, cityByAddress } from './cities.ts';
import type { Stage } from './stage.ts';
import type { Step, StoryOutcome } from './story.ts';
import type { LogLine } from './worker-process.ts';

export const USAGE = `npm start                      the demo, until Ctrl-C
npm start -- --port 8080       on this port (default: the first free one from 3000)
npm start -- --host 0.0.0.0    reachable from other machines (default: this one only)
npm start -- --once            plays the story by itself; exit status 0 only if all of it held
npm start -- --once --json     the same, as one JSON object

REDIS_URL=redis://...          uses that Redis instead of a private one (own prefix, deleted at the end)`;

const colours = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code: number) => (text: string) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
const bold = paint(1);
const dim = paint(2);
const red = paint(31);
const green = paint(32);
const yellow = paint(33);

export function banner(stage: Stage): string {
  const { url } = stage;
  return `
  ${bold('session-bouncer demo')}

  ${bold('1')}  Open ${bold(url)} and log in as alice from London.
  ${bold('2')}  Open the same in a private window: log in as alice from Lagos.
     A moment later that window is on the gotcha page; the first one notices nothing.
  ${bold('3')}  Review it at ${bold(`${url}/desk/`)}: what was compared, how fast, and who came back. Here everybody is an
     administrator; give the session back, and the private window is in again.

  ${dim(`${stage.redis} · worker process ${stage.workerPid} · Ctrl-C ends everything`)}
`;
}

/** One line of the worker's log, for people. It holds no text from outside but the user's id, which it has checked. */
export function incidentLine(line: LogLine): string {
  const { user, action, reason, address, known, loginAtMs, revokedAtMs } = line;
  const where = cityByAddress(String(address))?.name ?? 'elsewhere';
  const after = typeof revokedAtMs === 'number' ? ` after ${revokedAtMs - Number(loginAtMs)} ms` : '';
  const did = action === 'revoke' ? red(`ended${after}`) : yellow('flagged');
  const knownFrom = Array.isArray(known) ? known.join(', ') : '';
  return `  ${dim(clock(Date.now()))}  ${user} from ${where} (${address}), known from ${knownFrom}: ${did}, ${reason}, case ${line.case}`;
}

function clock(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8);
}

export function storyHead(stage: Stage): string {
  return `\n  ${bold('The story')} ${dim(`${stage.redis} · ${CITIES.length} cities · two cookie jars over HTTP`)}\n\n  ${dim('      ms  who     what')}`;
}

const WHO = { alice: green, thief: red, worker: yellow, review: bold };

export function storyLine({ ms, who, what }: Step): string {
  return `  ${dim(ms.toFixed(1).padStart(8))}  ${WHO[who](who.padEnd(6))}  ${what}`;
}

export function storyTail(outcome: StoryOutcome): string {
  const { ok, failed, msToRevoke, msToBounce } = outcome;
  if (!ok) return `\n  ${red('Not all of it held:')}\n${failed.map((one) => `  - ${one}`).join('\n')}\n`;
  return `\n  ${green('All of it held.')} From the thief's login to the end of his session ${bold(`${msToRevoke} ms`)}, to his bounce ${bold(`${msToBounce} ms`)}.\n`;
}
