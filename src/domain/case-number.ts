/** Crockford's base 32: no I, L, O or U, so that a case number can be read out on the telephone. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const SHAPE = /^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/;

/** A case number such as `K7QX-2M9F-4T8A` from at least 8 bytes of a hash: 60 bits, so that nobody guesses one. */
export function caseNumber(hash: Uint8Array): string {
  let text = '';
  for (let i = 0; i < 12; i++) {
    const bit = i * 5;
    const pair = ((hash[bit >> 3] ?? 0) << 8) | (hash[(bit >> 3) + 1] ?? 0);
    text += ALPHABET[(pair >> (11 - (bit & 7))) & 31];
    if (i === 3 || i === 7) text += '-';
  }
  return text;
}

export function isCaseNumber(text: unknown): text is string {
  return typeof text === 'string' && SHAPE.test(text);
}
