/** One file out of a tar archive in memory. Nothing is written, and no name of the archive becomes a path. */

const BLOCK = 512;
/** An archive of a database holds a handful of entries. */
const MAX_ENTRIES = 1000;

/** The content of the first plain file whose last name is `name`; null where there is none, or the archive is damaged. */
export function extractFile(tar: Buffer, name: string): Buffer | null {
  let at = 0;
  for (let entries = 0; entries < MAX_ENTRIES && at + BLOCK <= tar.length; entries++) {
    const head = tar.subarray(at, at + BLOCK);
    const size = sizeOf(head);
    if (size === null || !hasChecksum(head)) return null;
    const from = at + BLOCK;
    if (from + size > tar.length) return null;
    const isFile = head[156] === 0 || head[156] === 0x30;
    if (isFile && lastName(head) === name) return tar.subarray(from, from + size);
    at = from + Math.ceil(size / BLOCK) * BLOCK;
  }
  return null;
}

const textAt = (head: Buffer, from: number, length: number): string =>
  head.toString('latin1', from, from + length).replace(/\0.*$/s, '');

const lastName = (head: Buffer): string => textAt(head, 0, 100).split('/').at(-1) ?? '';

/** Octal digits; a size in another form is larger than what we read. */
function sizeOf(head: Buffer): number | null {
  const text = textAt(head, 124, 12).trim();
  return /^[0-7]{1,11}$/.test(text) ? Number.parseInt(text, 8) : null;
}

/** The sum of the head's bytes, its own field counted as spaces. */
function hasChecksum(head: Buffer): boolean {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : (head[i] ?? 0);
  return Number.parseInt(textAt(head, 148, 8).trim(), 8) === sum;
}
