/**
 * Every key of this project is spelled here and nowhere else.
 *
 * Two kinds, so that everything also works on a Redis Cluster: a session's key has a slot of its own (its scripts touch
 * that one key only); all that the worker writes shares the hash tag `{prefix}`, one slot, so that its scripts may
 * touch several keys.
 */
export interface Keys {
  readonly prefix: string;
  /** Passed to BullMQ as its key prefix. */
  readonly queuePrefix: string;
  session(handle: string): string;
  baseline(userId: string): string;
  incident(caseId: string): string;
  visits(caseId: string): string;
  visitCounts(caseId: string): string;
  incidentsAll(): string;
  incidentsByStatus(status: string): string;
  incidentsByUser(userId: string): string;
  incidentsByAddress(address: string): string;
  setAside(): string;
  setAsideCount(): string;
  counters(): string;
  counted(batchId: string): string;
  registryAnswers(network: string): string;
  registryClaim(network: string): string;
}

/** The name of the BullMQ queue that carries logins. */
export const LOGIN_QUEUE = 'logins';

/** The name of the BullMQ queue of logins to ask the registries about. */
export const REGISTRY_QUEUE = 'registry';

export function keysFor(prefix: string): Keys {
  const shared = `{${prefix}}`;
  return {
    prefix,
    queuePrefix: shared,
    session: (handle) => `${prefix}:session:${handle}`,
    baseline: (userId) => `${shared}:baseline:${userId}`,
    incident: (caseId) => `${shared}:incident:${caseId}`,
    visits: (caseId) => `${shared}:visits:${caseId}`,
    visitCounts: (caseId) => `${shared}:visit-counts:${caseId}`,
    incidentsAll: () => `${shared}:incidents:all`,
    incidentsByStatus: (status) => `${shared}:incidents:status:${status}`,
    incidentsByUser: (userId) => `${shared}:incidents:user:${userId}`,
    incidentsByAddress: (address) => `${shared}:incidents:address:${address}`,
    setAside: () => `${shared}:set-aside`,
    setAsideCount: () => `${shared}:set-aside-count`,
    counters: () => `${shared}:counters`,
    counted: (batchId) => `${shared}:counted:${batchId}`,
    registryAnswers: (network) => `${shared}:registry-answers:${network}`,
    registryClaim: (network) => `${shared}:registry-claim:${network}`,
  };
}
