/**
 * Text from outside in a page. JSX escapes what is HTML; what is left are characters that change how others read: control
 * and ANSI codes, bidirectional marks, zero-width ones, and piles of combining marks. They are shown by their numbers.
 */

/** Control, format (bidirectional, zero-width, tags), line separators, lone surrogates, private use, unassigned. */
const HOSTILE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/u;
const HOSTILE_ALL = new RegExp(HOSTILE, 'gu');
/** More than two marks on one letter cover the lines above. */
const MARKS = /(\p{M}{2})\p{M}+/gu;

export interface Piece {
  readonly text: string;
  /** It was one character that cannot be shown as it is; `text` is its number, e.g. `U+202E`. */
  readonly odd: boolean;
}

/** At most `max` characters (none is halved), as pieces to show. */
export function piecesOf(text: string, max: number): { readonly pieces: readonly Piece[]; readonly cut: boolean } {
  const bounded = text.slice(0, max * 2).replace(MARKS, '$1');
  const letters = [...bounded];
  const pieces: { text: string; odd: boolean }[] = [];
  for (const letter of letters.slice(0, max)) {
    const odd = HOSTILE.test(letter);
    const last = pieces.at(-1);
    if (odd) pieces.push({ text: codePoint(letter), odd });
    else if (last === undefined || last.odd) pieces.push({ text: letter, odd });
    else last.text += letter;
  }
  return { pieces, cut: letters.length > max || text.length > max * 2 };
}

/** The same in one plain line, for titles and attributes. */
export function plain(text: string, max = 500): string {
  const letters = [...text.slice(0, max * 2).replace(MARKS, '$1')];
  const kept = letters.slice(0, max).join('');
  const cut = letters.length > max || text.length > max * 2;
  return kept.replace(HOSTILE_ALL, (letter) => `\u27e8${codePoint(letter)}\u27e9`) + (cut ? '…' : '');
}

/** Does an input give it back as it is? A browser leaves out line breaks, and shows what turns text round as it turns it. */
export function canBeInput(text: string): boolean {
  return plain(text, text.length) === text;
}

function codePoint(letter: string): string {
  return `U+${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
