/** The cache without Redis: for one command, and as the reference that the Redis one is tested against. */

import type { Clock, RegistryCache, RegistryEntry } from '../../ports.ts';

/** As many networks as one command or test asks about, and far fewer than hurt. */
const MAX_NETWORKS = 1000;

export function memoryRegistryCache(clock: Clock): RegistryCache {
  const entries = new Map<string, Map<string, RegistryEntry>>();
  const claims = new Map<string, number>();
  return {
    read: async (network) => [...(entries.get(network)?.values() ?? [])],
    async write(network, entry) {
      const known = entries.get(network) ?? new Map<string, RegistryEntry>();
      entries.set(network, known.set(entry.range, entry));
      const [oldest] = entries.keys();
      if (entries.size > MAX_NETWORKS && oldest !== undefined) entries.delete(oldest);
    },
    async claim(network, ms) {
      const nowMs = clock();
      if ((claims.get(network) ?? 0) > nowMs) return false;
      claims.set(network, nowMs + ms);
      return true;
    },
    release: async (network) => void claims.delete(network),
  };
}
