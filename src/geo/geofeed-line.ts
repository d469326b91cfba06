/**
 * The form of one line of RFC 8805: `prefix,country,region,city,postal`, and from `#` to its end a comment. Quotes are no part of
 * it, and written all the same: by spreadsheets. What a field means is for the reader of the file.
 */

export interface Stripped {
  readonly text: string;
  readonly hadComment: boolean;
}

/** The line without its comment and the blanks around it. A `#` within quotes begins none. */
export function withoutComment(line: string): Stripped {
  const hash = line.indexOf('#');
  if (hash === -1) return { text: line.trim(), hadComment: false };
  const end = line.lastIndexOf('"', hash) === -1 ? hash : hashOutsideQuotes(line);
  return { text: line.slice(0, end).trim(), hadComment: end < line.length };
}

function hashOutsideQuotes(line: string): number {
  let isQuoted = false;
  for (let at = 0; at < line.length; at++) {
    const char = line[at];
    if (char === '"') isQuoted = !isQuoted;
    if (char === '#' && !isQuoted) return at;
  }
  return line.length;
}

export function unquoted(field: string): string {
  const text = field.trim();
  const isQuoted = text.length > 1 && text.startsWith('"') && text.endsWith('"');
  return isQuoted ? text.slice(1, -1).trim() : text;
}
