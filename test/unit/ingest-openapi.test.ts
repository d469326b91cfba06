/** The description tells what the app does: every route, every status, and examples that its own schemas take. */
import { describe, expect, test } from '@jest/globals';
import type { z } from 'zod';
import { STATUS_OF } from '../../src/ingest/answers.ts';
import { ingestApp } from '../../src/ingest/app.ts';
import { openapi } from '../../src/ingest/openapi.ts';
import { acceptedSchema, loginSchema, loginsSchema, notedSchema, visitSchema } from '../../src/ingest/schema.ts';
import { captureLog } from '../support/index.ts';

interface Described {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, { responses: Record<string, { description: string }> }>>;
  readonly components: { readonly schemas: Record<string, { examples?: unknown[]; properties?: object }> };
}

const described = JSON.parse(JSON.stringify(openapi())) as Described;
const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  Login: loginSchema,
  Logins: loginsSchema,
  Visit: visitSchema,
  Accepted: acceptedSchema,
  Noted: notedSchema,
};

function routes(): string[] {
  const app = ingestApp({
    secrets: [],
    loginsPerSecond: 1,
    enqueue: async () => {},
    visit: async () => 'kept',
    isUp: async () => true,
    clock: Date.now,
    log: captureLog(),
  });
  const answered = app.hono.routes.filter(({ method }) => method !== 'ALL');
  return [...new Set(answered.map(({ method, path }) => `${method.toLowerCase()} ${path}`))].sort();
}

describe('openapi.json', () => {
  test('has every route of the app, and no other', () => {
    const paths = Object.entries(described.paths);
    const listed = paths.flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
    expect(listed.sort()).toEqual(routes());
    expect(described.openapi).toBe('3.1.0');
  });

  test('has every status that a signed route may answer', () => {
    // 404 and 405 are of no route.
    const statuses = Object.values(STATUS_OF).filter((status) => status !== 404 && status !== 405);
    const wanted = [...new Set(['202', ...statuses.map(String)])].sort();
    for (const path of ['/v1/logins', '/v1/visits']) {
      const responses = described.paths[path]?.post?.responses ?? {};
      expect(Object.keys(responses).sort()).toEqual(wanted);
      for (const { description } of Object.values(responses)) expect(description.length).toBeGreaterThan(3);
    }
  });

  test.each(Object.entries(SCHEMAS))('%s: its examples are valid', (name, schema) => {
    const examples = described.components.schemas[name]?.examples ?? [];
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) expect(schema.safeParse(example)).toMatchObject({ success: true });
  });

  test('names no part that is not there', () => {
    const names = [...JSON.stringify(described).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
    expect(names.length).toBeGreaterThan(5);
    const missing = names.filter(([, name = '']) => !Object.hasOwn(described.components.schemas, name));
    expect(missing).toEqual([]);
  });

  // JSON Schema 2020-12, core, 8.2.1: an $id has no fragment. A validator refuses the whole description.
  test('its schemas go by their place, not by an address of their own', () => {
    expect(JSON.stringify(described)).not.toMatch(/"\$(id|schema)"/);
  });

  test('shows every field of a login', () => {
    expect(Object.keys(described.components.schemas.Login?.properties ?? {}).sort()).toEqual(
      Object.keys(loginSchema.shape).sort(),
    );
  });
});
