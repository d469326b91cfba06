/**
 * Characters that change how others read: control and ANSI codes, bidirectional marks, zero-width ones, lone surrogates, what
 * has no meaning yet. Text from outside may hold any of them, and it leaves us for terminals, editors and spreadsheets.
 */

/** Control, format (bidirectional, zero-width, tags), line separators, lone surrogates, private use, unassigned. */
const HOSTILE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu;

/** Each becomes a visible U+FFFD, never nothing, so that no two texts look alike by it; line breaks and TABs stay. */
export function visible(text: string): string {
  return text.replace(HOSTILE, (letter) => (/[\t\r\n]/.test(letter) ? letter : '\uFFFD'));
}

/** The same value to a program, harmless to who reads it: such characters are escaped, as JSON allows for any. */
export function safeJson(value: unknown, indent = 0): string {
  // JSON.stringify has escaped the line breaks of texts: those that are left are of its own layout.
  return JSON.stringify(value, null, indent).replace(HOSTILE, (letter) => (letter === '\n' ? letter : escaped(letter)));
}

function escaped(letter: string): string {
  const units = Array.from({ length: letter.length }, (_, i) => letter.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}
