import { type Logger, pino } from 'pino';

/**
 * The default log: pino, JSON lines. To standard error, because standard output belongs to the application (or to the
 * answer of a command).
 */
export function defaultLog(level: string): Logger {
  return pino({ name: 'session-bouncer', level }, pino.destination({ dest: 2, sync: true }));
}

/** User ids are the application's own text: in a log line they stand as they are only where their letters are harmless. */
export function safeUser(userId: string): string {
  return /^[\w.@+:-]{1,128}$/.test(userId) ? userId : '(unprintable)';
}
