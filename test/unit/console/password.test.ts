import { expect, test } from '@jest/globals';
import { accountsOf, hashPassword, parseHash, verifyPassword } from '../../../src/console/password.ts';

const accounts = async (password: string) => accountsOf({ anna: `analyst:${await hashPassword(password)}` });
const right = async (made: string, given: string) => {
  const known = await accounts(made);
  return verifyPassword(given, known.get('anna'), known);
};

test('a hash tells its cost, which is what OWASP asks for, and never the same twice', async () => {
  const [one, two] = [await hashPassword('twelve letters'), await hashPassword('twelve letters')];
  expect(one).toMatch(/^scrypt\$15\$8\$3\$[\w-]{22}\$[\w-]{43}$/);
  expect(one).not.toBe(two);
});

test('the password it was made from is right, no other is', async () => {
  expect(await right('twelve letters', 'twelve letters')).toBe(true);
  expect(await right('twelve letters', 'Twelve letters')).toBe(false);
  expect(await right('twelve letters', 'twelve letters ')).toBe(false);
  expect(await right('twelve letters', '')).toBe(false);
});

test('two spellings of one letter are one; the 73rd byte and the 200th letter count', async () => {
  expect(await right('pa\u0301sswords of mine', 'p\u00e1sswords of mine')).toBe(true);
  expect(await right(`${'x'.repeat(199)}a`, `${'x'.repeat(199)}b`)).toBe(false);
});

test.each(['user', 'brake', 'Registry'])('no account is called %s: that stands for a machine', async (name) => {
  const account = `admin:${await hashPassword('twelve letters')}`;
  expect(() => accountsOf({ [name]: account })).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  expect(accountsOf({ [`${name}s`]: account }).size).toBe(1);
});

test.each(['', 'eleven char', 'x'.repeat(257)])('%j is no password', async (password) => {
  await expect(hashPassword(password)).rejects.toMatchObject({ code: 'option_invalid' });
});

test('nobody is refused whatever is given, and so is everybody where there are no accounts', async () => {
  const known = await accounts('twelve letters');
  expect(await verifyPassword('twelve letters', known.get('otto'), known)).toBe(false);
  expect(await verifyPassword('twelve letters', undefined, new Map())).toBe(false);
});

test('more at once than may be computed wait their turn', async () => {
  const known = await accounts('twelve letters');
  const tries = ['a', 'twelve letters', 'b', 'twelve letters', 'c'];
  const all = await Promise.all(tries.map((given) => verifyPassword(given, known.get('anna'), known)));
  expect(all).toEqual([false, true, false, true, false]);
});

test.each([
  'scrypt$15$8$3$AAAAAAAAAAAAAAAAAAAAAA',
  'scrypt$15$8$3$$',
  '$2b$12$abcdefghijklmnopqrstuv',
  'scrypt$12$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'scrypt$20$99$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'scrypt$15$8$0$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
])('%s is no hash of ours', (text) => {
  expect(parseHash(text)).toBe(null);
});
