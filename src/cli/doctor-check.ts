/** What one examination found. */
export interface Check {
  readonly name: string;
  /** `fail`: logins are not checked, or may be lost. `warn`: they may be one day, or are checked less well. */
  readonly status: 'ok' | 'warn' | 'fail';
  readonly finding: string;
  /** What to do; always there unless `ok`. */
  readonly remedy?: string;
}

export function ok(name: string, finding: string): Check {
  return { name, status: 'ok', finding };
}

export function warn(name: string, finding: string, remedy: string): Check {
  return { name, status: 'warn', finding, remedy };
}

export function fail(name: string, finding: string, remedy: string): Check {
  return { name, status: 'fail', finding, remedy };
}

export function worst(checks: readonly Check[]): Check['status'] {
  const has = (status: Check['status']) => checks.some((check) => check.status === status);
  if (has('fail')) return 'fail';
  return has('warn') ? 'warn' : 'ok';
}
