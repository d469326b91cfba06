import type { PhpEnd, PhpWhy } from './incident.ts';

const WHY: Readonly<Record<PhpWhy, string>> = {
  igbinary: 'it is in igbinary, which is not written here',
  compressed: 'it is compressed',
  too_large: 'it is too large to be changed',
  unreadable: 'its data could not be read',
  field_missing: 'it does not have the configured variable',
  locked: 'a request held its lock, and may write it back until the last re-check',
  absent: 'there was none at that id; the re-checks look again',
  unavailable: 'the Redis of the PHP sessions did not answer; the re-checks try again',
  busy: 'requests kept writing it back; the re-checks try again',
  too_many: 'there were more ids than are ended at once; the re-checks end the rest',
  unknown_key: 'its id was sealed with a key that the worker does not have',
  not_opened: 'its sealed id could not be opened',
  not_configured: 'the worker has no keys for PHP sites',
};

/** e.g. `destroyed: it is compressed`. */
export function phpWords({ how, why, left }: PhpEnd): string {
  const done = { nulled: 'its user set to NULL', destroyed: 'destroyed', untouched: 'not touched' }[how];
  if (why === undefined) return done;
  return left === undefined ? `${done}: ${wordsOf(why)}` : `${done}; but ${left} more not ended: ${wordsOf(why)}`;
}

function wordsOf(why: PhpWhy): string {
  return WHY[why] ?? why;
}
