import { expect, test } from '@jest/globals';
import { Attached } from '../../src/web/attached.ts';

test('what is attached to an object is found by it, and by no copy of it', () => {
  const notes = new Attached<{ text: string }>();
  const object = { a: 1 };
  notes.set(object, { text: 'first' });
  notes.set(object, { text: 'second' });
  expect(notes.get(object)).toEqual({ text: 'second' });
  expect(notes.get({ ...object })).toBeUndefined();
  expect(notes.get(Object.assign({}, object))).toBeUndefined();
  expect(new Attached().get(object)).toBeUndefined();
});

test('an app does not come across it', () => {
  const object = { a: 1 };
  new Attached<{ secret: string }>().set(object, { secret: 'of ours' });
  expect(Object.keys(object)).toEqual(['a']);
  expect(JSON.stringify(object)).toBe('{"a":1}');
  const seen: string[] = [];
  for (const key in object) seen.push(key);
  expect(seen).toEqual(['a']);
});

test('a frozen object takes it too; nothing is attached to nothing', () => {
  const notes = new Attached<{ text: string }>();
  const frozen = Object.freeze({ a: 1 });
  notes.set(frozen, { text: 'of a frozen one' });
  expect(notes.get(frozen)).toEqual({ text: 'of a frozen one' });
  expect(notes.get(null)).toBeUndefined();
  expect(notes.get(undefined)).toBeUndefined();
});
