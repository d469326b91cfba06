/** What every source of `src/geo` must keep, whatever it is made of. Run with: `sourceContract(name, makeOne)`. */
import { describe, expect, test } from '@jest/globals';
import { inCidr, parseAddress, parseCidr } from '../../src/domain/address.ts';
import { COUNTRIES } from '../../src/domain/country.ts';
import type { Source } from '../../src/geo/source.ts';

export interface Subject {
  readonly source: Source;
  /** Addresses that it has a word of, with the country (null for a source of flags or networks). */
  readonly known: Readonly<Record<string, string | null>>;
  /** An address that it has no word of. */
  readonly unknown: string;
}

const NOTE = /^[a-z_]+(:[A-Za-z_]{2,20})?$/;

function ask(source: Source, address: string) {
  const parsed = parseAddress(address);
  if (!parsed.ok) throw new Error(address);
  return { parsed, answer: source.lookup(parsed.ip, parsed.family) };
}

export function sourceContract(name: string, subject: () => Promise<Subject>): void {
  describe(`${name} keeps the contract of a source:`, () => {
    test('it says what it is, whose, and of when', async () => {
      const { source } = await subject();
      expect(['mmdb', 'geoip-lite', 'override', 'registry']).toContain(source.kind);
      expect(['country', 'override', 'flags', 'network']).toContain(source.role);
      expect(source.name).not.toBe('');
      expect(source.origin).not.toBe('');
      expect(source.vendor === null || source.vendor.length > 0).toBe(true);
      expect(source.builtAtMs === null || (source.builtAtMs > 0 && Number.isFinite(source.builtAtMs))).toBe(true);
    });

    test('what it knows has a normalised country, and a network that holds the address', async () => {
      const { source, known } = await subject();
      for (const [address, country] of Object.entries(known)) {
        const { parsed, answer } = ask(source, address);
        expect([address, answer.country]).toEqual([address, country]);
        if (answer.country !== null) expect(COUNTRIES.has(answer.country)).toBe(true);
        if (answer.note !== undefined) expect(answer.note).toMatch(NOTE);
        if (source.kind === 'geoip-lite') continue; // names a network only where its range is one
        const cidr = parseCidr(answer.network);
        expect(cidr?.text).toBe(answer.network);
        expect(cidr !== null && inCidr(parsed, cidr)).toBe(true);
      }
    });

    test('what it does not know is neither a country nor an error', async () => {
      const { source, unknown } = await subject();
      const { answer } = ask(source, unknown);
      expect(answer.country).toBeNull();
      expect(answer.network).toBeNull();
      expect(answer.details).toBeUndefined();
    });

    test('the same question has the same answer, in an object of its own', async () => {
      const { source, known } = await subject();
      for (const address of Object.keys(known)) {
        const first = ask(source, address).answer;
        const second = ask(source, address).answer;
        expect(second).toEqual(first);
        expect(second).not.toBe(first);
        if (first.details !== undefined) expect(Object.isFrozen(first.details)).toBe(true);
      }
    });

    test('details are within their limits', async () => {
      const { source, known } = await subject();
      for (const address of Object.keys(known)) {
        const {
          latitude = 0,
          longitude = 0,
          radiusKm = 0,
          flags = [],
          asn = 1,
          holder = '',
        } = ask(source, address).answer.details ?? {};
        expect(Math.abs(latitude)).toBeLessThanOrEqual(90);
        expect(Math.abs(longitude)).toBeLessThanOrEqual(180);
        expect(radiusKm).toBeGreaterThanOrEqual(0);
        expect(asn).toBeGreaterThan(0);
        expect(holder.length).toBeLessThanOrEqual(128);
        for (const flag of flags) expect(['anonymiser', 'anycast', 'hosting']).toContain(flag);
      }
    });

    test('every address of both families is answered within a millisecond or so, and never throws', async () => {
      const { source } = await subject();
      const from = performance.now();
      for (let i = 1; i <= 20_000; i++) {
        const at = Math.imul(i, 0x9e3779b1) >>> 0;
        source.lookup(`${at >>> 24}.${(at >>> 16) & 255}.${(at >>> 8) & 255}.${at & 255}`, 4);
        source.lookup(`2${(at & 0xfff).toString(16).padStart(3, '0')}:${(at >>> 16).toString(16)}::1`, 6);
      }
      expect((performance.now() - from) / 40_000).toBeLessThan(1);
    });
  });
}
