import type { Bench } from './support/report.ts';
export const bounce: Bench = async () => { throw new Error('todo'); };
