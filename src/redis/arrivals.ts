import type { Redis } from 'ioredis';
import type { GuardedSessions, LoadedSession } from '../ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript, type Script } from './script.ts';
import { runAcrossSlots } from './slots.ts';

const scripts = {
  arrive: loadScript('arrive-1'),
  used: loadScript('used-1'),
  firstUse: loadScript('first-use-2'),
  await: loadScript('await-1'),
  unused: loadScript('unused-1'),
};

type Load = (handle: string) => Promise<LoadedSession>;

/** Whether the holder of a moved session has its new id: noted on the old id's tombstone and on the live session. */
export function arrivals(redis: Redis, keys: Keys, load: Load): Pick<GuardedSessions, 'arrive' | 'reissued'> {
  const run = (script: Script, handle: string, ...args: string[]) =>
    runScript(redis, script, [keys.session(handle)], args);

  return {
    async arrive(handle, predecessor, nowMs) {
      const both = [keys.session(handle), keys.session(predecessor)];
      if ((await runAcrossSlots(redis, scripts.firstUse, both, [digits(nowMs)])) !== null) return;
      // First the note, then the name off: in between, the next use only notes it again.
      await run(scripts.used, predecessor, digits(nowMs));
      await run(scripts.arrive, handle, digits(nowMs));
    },
    // First the name, so that the next use is noted whoever dies in between.
    async reissued(handle, nowMs, withinMs) {
      const { moved, last } = await followed(load, handle, nowMs - withinMs);
      const [nearest] = moved;
      if (nearest === undefined) return;
      await run(scripts.await, last, nearest);
      for (const one of moved) await run(scripts.unused, one);
      // Used in between: then that was the first use, and nobody would note it any more.
      const now = await load(last);
      if (now.kind !== 'live' || now.head.movedFrom !== nearest) await run(scripts.used, nearest, digits(nowMs));
    },
  };
}

/** More generations than this within one request are not followed. */
const MAX_FOLLOWED = 8;

/** From a moved id along its newest successors: the moved ones, the nearest to the last first, and the last. */
async function followed(load: Load, handle: string, sinceMs: number) {
  const moved: string[] = [];
  let last = handle;
  while (moved.length < MAX_FOLLOWED) {
    const found = await load(last);
    if (found.kind !== 'tombstone' || found.tombstone.kind !== 'moved') break;
    if (moved.length === 0 && found.tombstone.atMs < sinceMs) break;
    const next = found.tombstone.successors.at(-1);
    if (next === undefined) break;
    moved.unshift(last);
    last = next.handle;
  }
  return { moved, last };
}

/** As wide as the fields that the scripts overwrite in place. */
function digits(ms: number): string {
  return String(Math.trunc(ms)).padStart(13, '0');
}
