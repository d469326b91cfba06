import { expect, test } from '@jest/globals';
import { piecesOf, plain } from '../../../src/console/text.ts';

test.each([
  ['a\u202eb', ['a', 'U+202E', 'b']],
  ['\u001b[31mred', ['U+001B', '[31mred']],
  ['a\u200b\u200bb', ['a', 'U+200B', 'U+200B', 'b']],
  ['line\nbreak', ['line', 'U+000A', 'break']],
  ['\ud800lone', ['U+D800', 'lone']],
  ['\u{e0041}tag', ['U+E0041', 'tag']],
  ['é ü 日本 👍 עברית', ['é ü 日本 👍 עברית']],
  ['<script>', ['<script>']],
  ['', []],
])('%j is shown as %j', (text, pieces) => {
  expect(piecesOf(text, 100).pieces.map((piece) => piece.text)).toEqual(pieces);
});

test('what is odd is marked as such, and only that', () => {
  expect(piecesOf('a\u202eb', 10).pieces.map(({ odd }) => odd)).toEqual([false, true, false]);
});

test('long text is cut between letters, and says so; long or odd, it takes no more than it may', () => {
  expect(piecesOf('👍'.repeat(10), 3)).toEqual({ pieces: [{ text: '👍👍👍', odd: false }], cut: true });
  expect(piecesOf('abc', 3).cut).toBe(false);
  const hostile = piecesOf('\u202e'.repeat(10_000), 200);
  expect(hostile.pieces).toHaveLength(200);
  expect(plain('\u202e'.repeat(10_000), 200).length).toBeLessThan(200 * 10);
});

test('marks that pile up on one letter are two at most', () => {
  expect(plain(`e${'\u0301'.repeat(500)}x`)).toBe('e\u0301\u0301x');
});

test('in a title the odd ones stand by their numbers too', () => {
  expect(plain('a\u202e\tb')).toBe('a⟨U+202E⟩⟨U+0009⟩b');
});
