/** The description that is served: made from the schemas that decide, so that the two cannot differ. */

import { z } from 'zod';
import { type IngestCode, STATUS_OF } from './answers.ts';
import { acceptedSchema, loginSchema, loginsSchema, notedSchema, visitSchema } from './schema.ts';

/** What each route may refuse. */
const SIGNED: readonly IngestCode[] = [
  'body_invalid',
  'field_unknown',
  'signature_missing',
  'signature_wrong',
  'timestamp_refused',
  'body_too_large',
  'media_type_unsupported',
  'rate_limited',
  'signatures_refused',
  'queue_unavailable',
  'internal_error',
];

const MEANING: Readonly<Record<number, string>> = {
  400: 'What was sent cannot be used; nothing of it was queued.',
  401: 'The signature is missing or wrong, or its time is too far away.',
  413: 'The body is larger than 64 KiB.',
  415: 'The body is not JSON in UTF-8, or is compressed.',
  429: 'Too much; Retry-After says when to send it again.',
  500: 'A fault of ours; send it again under the same webhook-id.',
  503: 'Redis is away, or did not take it in time: send it again under the same webhook-id.',
};

const HEADERS = [
  {
    name: 'webhook-id',
    description:
      'Names this message: 16 to 128 of letters, digits, `_ . ~ -`. The same again with the same body is queued once.',
  },
  { name: 'webhook-timestamp', description: 'Seconds since the epoch; at most 300 away from our clock.' },
  {
    name: 'webhook-signature',
    description:
      '`v1,` and the base64 of HMAC-SHA-256 over `<id>.<timestamp>.<body>`; of several, with blanks between, one must fit.',
  },
].map((header) => ({ ...header, in: 'header', required: true, schema: { type: 'string' } }));

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const jsonOf = (schema: object) => ({ 'application/json': { schema } });

let made: object | null = null;

export function openapi(): object {
  made ??= {
    openapi: '3.1.0',
    info: { title: 'session-bouncer ingest', version: '1', description: 'Login events and visits, from any language.' },
    paths: {
      '/v1/logins': {
        post: post('Report one login, or up to 100', [ref('Login'), ref('Logins')], 'Accepted', 'login_invalid'),
      },
      '/v1/visits': {
        post: post(
          'Note a request that was bounced, or a view of the gotcha page',
          [ref('Visit')],
          'Noted',
          'visit_invalid',
        ),
      },
      '/openapi.json': { get: get('This description', {}, []) },
      '/healthz': {
        get: get('Does Redis answer?', { type: 'object', properties: { status: { const: 'ok' } } }, [
          'queue_unavailable',
        ]),
      },
    },
    components: { schemas: schemas() },
  };
  return made;
}

function post(summary: string, bodies: readonly object[], answer: string, invalid: IngestCode): object {
  const [only, ...others] = bodies;
  return {
    summary,
    parameters: HEADERS,
    requestBody: { required: true, content: jsonOf(others.length === 0 && only ? only : { anyOf: bodies }) },
    responses: { '202': { description: 'Taken.', content: jsonOf(ref(answer)) }, ...refusals([...SIGNED, invalid]) },
  };
}

function get(summary: string, schema: object, codes: readonly IngestCode[]): object {
  return { summary, responses: { '200': { description: 'Yes.', content: jsonOf(schema) }, ...refusals(codes) } };
}

function refusals(codes: readonly IngestCode[]): Record<string, object> {
  const statuses = [...new Set(codes.map((code) => STATUS_OF[code]))].sort();
  return Object.fromEntries(
    statuses.map((status) => {
      const own = codes.filter((code) => STATUS_OF[code] === status);
      const schema = {
        allOf: [ref('Refusal'), { properties: { code: { enum: own } } }],
      };
      const headers = { 'retry-after': { description: 'Seconds.', schema: { type: 'integer' } } };
      const waits = status === 429 || status === 503 ? { headers } : {};
      return [String(status), { description: MEANING[status] ?? '', ...waits, content: jsonOf(schema) }];
    }),
  );
}

function schemas(): Record<string, object> {
  const ours = {
    Login: loginSchema,
    Logins: loginsSchema,
    Visit: visitSchema,
    Accepted: acceptedSchema,
    Noted: notedSchema,
  };
  const registry = z.registry<{ id?: string | undefined }>();
  for (const [id, schema] of Object.entries(ours)) registry.add(schema, { id });
  const { schemas: described } = z.toJSONSchema(registry, { uri: (id) => `#/components/schemas/${id}`, io: 'input' });
  const refusal = {
    type: 'object',
    required: ['code'],
    properties: {
      code: { type: 'string', enum: Object.keys(STATUS_OF) },
      field: { type: 'string', description: 'The first wrong field, e.g. `logins.3.userId`.' },
    },
  };
  // The address is for the references between them; in a description, each schema's place is its name.
  const plain = Object.entries(described).map(([name, { $id, $schema, ...schema }]) => [name, schema]);
  return { ...Object.fromEntries(plain), Refusal: refusal };
}
