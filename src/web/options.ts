import { z } from 'zod';
import { loginPath } from '../domain/gate.ts';
import { BouncerError } from '../errors.ts';

/**
 * What `createBouncer` is given, checked at once: a limit of NaN or an address that no browser can follow would show only
 * when it is needed. Each message says what to give; the option's name is put before it.
 */
const number = (give: string, min: number, max: number) => z.number(give).min(min, give).max(max, give).optional();
const whole = (give: string, min: number, max: number) =>
  z.number(give).int(give).min(min, give).max(max, give).optional();
const text = (give: string, pattern: RegExp) => z.string(give).regex(pattern, give).optional();
const optionalFunction = z
  .custom((value) => value === undefined || typeof value === 'function', 'give a function')
  .optional();

/** Not `instanceof`: there is more than one RegExp where code runs in a realm of its own. */
const isPatternOrNone = (value: unknown) => value === undefined || typeof (value as RegExp | null)?.test === 'function';

/** What is missing would be missed in an outage, and end the process then. */
const isLogOrNone = (value: unknown) =>
  value === undefined ||
  value === null ||
  ['debug', 'info', 'warn', 'error'].every((level) => typeof (value as Record<string, unknown>)[level] === 'function');

/** A timer takes no more than 24 days, and a request should wait no more than seconds. */
const TEN_MINUTES_MS = 600_000;
const TEN_YEARS_S = 315_360_000;

const SECONDS = 'give whole seconds, from 1 to 10 years';
const MILLISECONDS = 'give milliseconds, a whole number';

/** A path of this site and not `//host`; or a page elsewhere. Never `javascript:` and the like. */
const PATH = /^\/(?![/\\])[^\s\\]*$/;
const PATH_WITHOUT_QUERY = /^\/(?![/\\])[^\s\\?#]*$/;
const PATH_OR_URL = /^(\/(?![/\\])|https?:\/\/[^\s/\\])[^\s\\]*$/i;
const page = (example: string) => text(`give a path such as ${example}, or an http(s) URL`, PATH_OR_URL);

/** A home page or a login page that is the gotcha page is lost to everybody. */
const isOfItsOwn = ({
  path = '/gotcha',
  loginUrl = '/login',
}: {
  path?: string | undefined;
  loginUrl?: string | undefined;
}) => path !== '/' && loginPath(path) !== loginPath(loginUrl);

const optionsSchema = z.looseObject(
  {
    redis: z.custom(
      (value) => typeof value === 'string' || (typeof value === 'object' && value !== null),
      'give a URL such as redis://localhost:6379, ioredis options or an ioredis instance',
    ),
    prefix: text('use 1 to 64 letters, digits, - and _', /^[\w-]{1,64}$/),
    session: z
      .looseObject(
        {
          ttlSeconds: whole(SECONDS, 1, TEN_YEARS_S),
          absoluteTtlSeconds: whole(SECONDS, 1, TEN_YEARS_S),
          renewAfter: number('give a part between 0 and 1', 0, 1),
          idPattern: z.custom(isPatternOrNone, 'give a regular expression').optional(),
        },
        'give an object',
      )
      .optional(),
    rotate: z
      .looseObject(
        {
          everyRequests: z
            .number('give a whole number from 1')
            .int('give a whole number from 1')
            .min(1, 'give a whole number from 1'),
        },
        'give an object such as { everyRequests: 20 }',
      )
      .optional(),
    gotcha: z
      .looseObject(
        {
          path: text('give a path such as /gotcha; a page elsewhere is gotcha.url', PATH_WITHOUT_QUERY),
          url: page('/sorry'),
          loginUrl: page('/login'),
          render: optionalFunction,
        },
        'give an object',
      )
      .refine(isOfItsOwn, {
        path: ['path'],
        error: 'give a page of its own: neither the home page nor gotcha.loginUrl',
      })
      .optional(),
    openPaths: z
      .array(
        z.string('give paths such as /login or /static/').regex(PATH, 'give paths such as /login or /static/'),
        'give a list of paths',
      )
      .optional(),
    needsUser: optionalFunction,
    enqueueTimeoutMs: whole(`${MILLISECONDS} from 0 to 600000`, 0, TEN_MINUTES_MS),
    maxWaitingLogins: whole('give a whole number from 1 to 1000000', 1, 1_000_000),
    redisTimeoutMs: whole(`${MILLISECONDS} from 1 to 600000`, 1, TEN_MINUTES_MS),
    clock: optionalFunction,
    log: z.custom(isLogOrNone, 'give a pino logger, or an object with debug, info, warn and error').optional(),
    // Looked at elsewhere.
    trustProxy: z.unknown().optional(),
    forwardedHeader: z.unknown().optional(),
  },
  'give an object with at least `redis`',
);

/** Throws BouncerError `option_invalid`, which names the first wrong option and says what to give. */
export function checkOptions(options: unknown): void {
  check(optionsSchema, options, 'options');
}

/** Names that mean nothing here, `session.ttl` say: misspelt mostly, so that a default holds where nobody expects it. */
export function unknownOptions(options: object): string[] {
  const { session, rotate, gotcha } = optionsSchema.shape;
  const inner = { session, rotate, gotcha };
  const nested = Object.entries(inner).flatMap(([name, schema]) => {
    const given = (options as Record<string, object | undefined>)[name] ?? {};
    return namesBeside(schema.unwrap().shape, given).map((each) => `${name}.${each}`);
  });
  return [...namesBeside(optionsSchema.shape, options), ...nested];
}

function namesBeside(shape: object, given: object): string[] {
  return Object.keys(given).filter((name) => !Object.hasOwn(shape, name));
}

function check(schema: z.ZodType, options: unknown, whole: string): void {
  const checked = schema.safeParse(options);
  if (checked.success) return;
  const [issue] = checked.error.issues;
  const name = issue?.path.map(String).join('.') || whole;
  throw new BouncerError('option_invalid', `${name}: ${issue?.message}`);
}

const consoleSchema = z.looseObject(
  {
    authorize: z.custom((value) => typeof value === 'function', 'give a function that says who a request is from'),
    reauthenticateUrl: page('/password'),
    title: z.string('give a text').max(60, 'give at most 60 characters').optional(),
    secure: z.boolean('give true or false').optional(),
  },
  'give an object with at least `authorize`',
);

export function checkConsoleOptions(options: unknown): void {
  check(consoleSchema, options, 'console');
}
