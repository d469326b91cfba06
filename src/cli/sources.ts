/** The sources that the configuration gives, for as long as one command takes. */

import type { Config, SettingName } from '../../config/load.ts';
import { type Chain, openChain } from '../geo/chain.ts';
import { QUIET } from './context.ts';

/** What decides which sources are open, and what may be answered from them. */
export const SOURCE_SETTINGS: readonly SettingName[] = ['databases', 'overrides', 'canaries', 'maxDatabaseAgeDays'];

/** Opens them without looking for newer files (the command ends before there are any), and closes them in any case. */
export async function withSources<T>(config: Config, work: (chain: Chain) => T | Promise<T>): Promise<T> {
  const { databases, overrides, canaries, maxDatabaseAgeDays } = config;
  const chain = await openChain({
    databases,
    overrides,
    canaries,
    maxAgeDays: maxDatabaseAgeDays ?? undefined,
    reload: { everyMs: 0 },
    log: QUIET,
    clock: Date.now,
  });
  try {
    return await work(chain);
  } finally {
    chain.close();
  }
}
