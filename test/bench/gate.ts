import type { Bench } from './support/report.ts';
export const gate: Bench = async () => { throw new Error('todo'); };
