/**
 * Text from outside on a terminal. User agents, paths, ids and notes are written by anyone: a control character could
 * move the cursor or repaint the screen, and a bidirectional one could swap what a reviewer reads.
 */

/** Control, format (bidirectional, zero-width, tags), line separators, lone surrogates, private use, unassigned. */
const HOSTILE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]+/gu;
/** More than two marks on one letter cover the lines above. */
const MARKS = /(\p{M}{2})\p{M}+/gu;

/** Harmless in a line: what is hostile becomes a visible U+FFFD, never nothing, so that no two ids look alike by it. */
export function clean(text: string, maxLength = 500): string {
  const bounded = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
  return bounded.replace(HOSTILE, '\uFFFD').replace(MARKS, '$1');
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

function letterWidth(letter: string): number {
  if (/\p{M}/u.test(letter)) return 0;
  return WIDE.test(letter) ? 2 : 1;
}

/** Columns that a clean text takes on a terminal. */
export function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  return [...text].reduce((sum, letter) => sum + letterWidth(letter), 0);
}

/** At most `columns` wide, with an ellipsis where something was cut off. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let kept = '';
  let room = columns - 1;
  for (const letter of text) {
    room -= letterWidth(letter);
    if (room < 0) break;
    kept += letter;
  }
  return columns < 1 ? '' : `${kept}…`;
}

export function padded(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - widthOf(text)));
}

/** A clean text in lines of at most so many columns, broken between words; all but the first are indented. */
export function wrapped(text: string, columns: number, indent = 0): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (widthOf(longer) <= columns || line.trim() === '') {
      line = longer;
      continue;
    }
    lines.push(line);
    line = ' '.repeat(indent) + word;
  }
  return [...lines, line].map((one) => cut(one, columns)).join('\n');
}
