import { createHash } from 'node:crypto';

/**
 * Every key of this project is spelled here and nowhere else.
 *
 * Three kinds, so that everything also works on a Redis Cluster: a session's key has a slot of its own (its scripts touch
 * that one key only, but for two that a Cluster is not sent); what belongs to one user's logins shares the user's slot, because a login id begins with its user's
 * tag (see `loginId` in web/handle); all that the worker writes shares the hash tag `{prefix}`, one slot.
 */
export interface Keys {
  readonly prefix: string;
  /** Passed to BullMQ as its key prefix. */
  readonly queuePrefix: string;
  /** All our queues, for those who look at them. */
  readonly queues: readonly string[];
  session(handle: string): string;
  /** The set of handles that a login has had. In its user's slot, as those below. */
  loginIds(lid: string): string;
  /** The same up to the login id, for the ids of one user's logins: a script for a single server adds what it has read. */
  loginIdsOf(userTag: string): string;
  /** The mark that a login has ended. */
  loginEnd(lid: string): string;
  /** Of a login at a PHP site: the ids it has had, sealed, by handle. PHP writes it: see docs/php.md. */
  phpIds(lid: string): string;
  /** Which of those PHP's Redis did not have when it was last looked at, and since when. */
  phpAbsent(lid: string): string;
  /** "No session of this user authenticated before". */
  epoch(userTag: string): string;
  /** A user's logins, scored by their absolute end. */
  userLogins(userTag: string): string;
  /** What is known of each of them. */
  userEntries(userTag: string): string;
  /** Whose registry is to be swept, scored by when. */
  sweepUsers(): string;
  /** Who ended which sessions, and why. */
  audit(): string;
  /** The pub/sub channel on which ended logins are told. */
  revokedChannel(): string;
  baseline(userId: string): string;
  incident(caseId: string): string;
  visits(caseId: string): string;
  visitCounts(caseId: string): string;
  /** "The visit of this id has been noted". */
  visitMark(id: string): string;
  incidentsAll(): string;
  incidentsByStatus(status: string): string;
  incidentsByUser(userId: string): string;
  incidentsByAddress(address: string): string;
  incidentsByNetwork(network: string): string;
  incidentsByReason(reason: string): string;
  incidentsByAction(action: string): string;
  incidentsByCountry(country: string): string;
  /** How far incidents of earlier releases are on the lists above. Numbered: workers of those releases keep a mark of their own. */
  incidentsIndexed(): string;
  /** Cases with visits, scored by the oldest visit that is kept. */
  visited(): string;
  /** The ids of the audit's entries about one case. */
  auditOfCase(caseId: string): string;
  /** How many acts of this user about themselves are in the audit of the day. */
  auditOwn(userTag: string): string;
  /** The audit without a forgotten user, while it is being written; and who writes it. */
  auditCopy(token: string): string;
  auditClaim(): string;
  setAside(): string;
  setAsideCount(): string;
  setAsideMark(batchId: string): string;
  counters(): string;
  counted(batchId: string): string;
  /** Counts per minute, of one hour (its number since the epoch); per hour, of one day; per country, of one hour. */
  seriesMinutes(hour: number): string;
  seriesHours(day: number): string;
  seriesCountries(hour: number): string;
  /** Whose sessions would have been ended, of one hour: a HyperLogLog. */
  observedUsers(hour: number): string;
  /** The newest logins of a user. */
  history(userId: string): string;
  lists(): string;
  listsRevision(): string;
  brake(): string;
  /** The logins whose end the brake let pass lately, scored by when. */
  brakeGranted(): string;
  /** The users of the logins that the brake was asked about lately, by their tags, scored by when last. */
  brakeUsers(): string;
  workers(): string;
  /** How long the workers keep things. */
  ages(): string;
  registryAnswers(network: string): string;
  registryClaim(network: string): string;
  /** "This link to its user has been used", by a hash of the link's token. */
  linkUse(tokenHash: string): string;
  /** Which mails "Was this you?" a user was sent lately, scored by when. */
  questions(userTag: string): string;
  /** How often signing in at the console was tried under one name, by a hash of it. */
  attempts(nameTag: string): string;
}

/** The name of the BullMQ queue that carries logins. */
export const LOGIN_QUEUE = 'logins';

/** The name of the BullMQ queue whose scheduler sweeps the registry. */
export const SWEEP_QUEUE = 'sweep';

/** The name of the BullMQ queue that carries re-checks of revocations. */
export const RECHECK_QUEUE = 'rechecks';
/** The name of the BullMQ queue of logins to ask the registries about. */
export const REGISTRY_QUEUE = 'registry';
/** The name of the BullMQ queue of what webhooks are to be told. */
export const NOTIFICATION_QUEUE = 'notifications';

export function keysFor(prefix: string): Keys {
  const shared = `{${prefix}}`;
  return {
    prefix,
    queuePrefix: shared,
    queues: [LOGIN_QUEUE, SWEEP_QUEUE, RECHECK_QUEUE, REGISTRY_QUEUE, NOTIFICATION_QUEUE],
    session: (handle) => `${prefix}:session:${handle}`,
    loginIds: (lid) => `${prefix}:login-ids:{${tagOf(lid)}}:${lid}`,
    loginIdsOf: (userTag) => `${prefix}:login-ids:{${userTag}}:`,
    loginEnd: (lid) => `${prefix}:login-end:{${tagOf(lid)}}:${lid}`,
    phpIds: (lid) => `${prefix}:php-ids:{${tagOf(lid)}}:${lid}`,
    phpAbsent: (lid) => `${prefix}:php-absent:{${tagOf(lid)}}:${lid}`,
    epoch: (userTag) => `${prefix}:epoch:{${userTag}}`,
    userLogins: (userTag) => `${prefix}:user-logins:{${userTag}}`,
    userEntries: (userTag) => `${prefix}:user-entries:{${userTag}}`,
    sweepUsers: () => `${shared}:sweep-users`,
    audit: () => `${shared}:audit`,
    revokedChannel: () => `${prefix}:ended-logins`,
    baseline: (userId) => `${shared}:baseline:${userId}`,
    ...incidentKeys(shared),
    auditOfCase: (caseId) => `${shared}:audit-of-case:${caseId}`,
    auditOwn: (userTag) => `${shared}:audit-own:${userTag}`,
    auditCopy: (token) => `${shared}:audit-copy:${token}`,
    auditClaim: () => `${shared}:audit-claim`,
    setAside: () => `${shared}:set-aside`,
    setAsideCount: () => `${shared}:set-aside-count`,
    setAsideMark: (batchId) => `${shared}:set-aside-mark:${batchId}`,
    counters: () => `${shared}:counters`,
    counted: (batchId) => `${shared}:counted:${batchId}`,
    seriesMinutes: (hour) => `${shared}:series:minutes:${hour}`,
    seriesHours: (day) => `${shared}:series:hours:${day}`,
    seriesCountries: (hour) => `${shared}:series:countries:${hour}`,
    observedUsers: (hour) => `${shared}:observed-users:${hour}`,
    history: (userId) => `${shared}:history:${userId}`,
    lists: () => `${shared}:lists`,
    listsRevision: () => `${shared}:lists-revision`,
    brake: () => `${shared}:brake`,
    brakeGranted: () => `${shared}:brake-granted`,
    brakeUsers: () => `${shared}:brake-users`,
    workers: () => `${shared}:workers`,
    ages: () => `${shared}:ages`,
    registryAnswers: (network) => `${shared}:registry-answers:${network}`,
    registryClaim: (network) => `${shared}:registry-claim:${network}`,
    linkUse: (tokenHash) => `${shared}:link-use:${tokenHash}`,
    questions: (userTag) => `${shared}:questions:${userTag}`,
    attempts: (nameTag) => `${shared}:attempts:${nameTag}`,
  };
}

function incidentKeys(shared: string) {
  return {
    incident: (caseId: string) => `${shared}:incident:${caseId}`,
    visits: (caseId: string) => `${shared}:visits:${caseId}`,
    visitCounts: (caseId: string) => `${shared}:visit-counts:${caseId}`,
    visitMark: (id: string) => `${shared}:visit-mark:${id}`,
    incidentsAll: () => `${shared}:incidents:all`,
    incidentsByStatus: (status: string) => `${shared}:incidents:status:${status}`,
    incidentsByUser: (userId: string) => `${shared}:incidents:user:${userId}`,
    incidentsByAddress: (address: string) => `${shared}:incidents:address:${address}`,
    incidentsByNetwork: (network: string) => `${shared}:incidents:network:${network}`,
    incidentsByReason: (reason: string) => `${shared}:incidents:reason:${reason}`,
    incidentsByAction: (action: string) => `${shared}:incidents:action:${action}`,
    incidentsByCountry: (country: string) => `${shared}:incidents:country:${country}`,
    incidentsIndexed: () => `${shared}:incidents:indexed-2`,
    visited: () => `${shared}:visited`,
  } satisfies Partial<Keys>;
}

/** phpredis's own keys: its prefix and the session's id. */
export interface PhpSessionKeys {
  session(id: string): string;
  /** Who holds the session while a request runs, where `redis.session.locking_enabled` is on. */
  lock(id: string): string;
}

export function phpSessionKeysFor(sessionPrefix: string): PhpSessionKeys {
  return { session: (id) => `${sessionPrefix}${id}`, lock: (id) => `${sessionPrefix}${id}_LOCK` };
}

/** 96 bits of a hash: stands for the user in keys and in the ids of the user's logins. */
export function userTag(userId: string): string {
  return createHash('sha256').update(userId).digest('base64url').slice(0, TAG_LENGTH);
}

const TAG_LENGTH = 16;
/** The tag and 22 random letters. */
export const LID_LENGTH = TAG_LENGTH + 22;

/** The user's tag in a login id of our making; an id that the app chose itself stands for itself. */
export function tagOf(lid: string): string {
  return lid.length === LID_LENGTH ? lid.slice(0, TAG_LENGTH) : lid;
}
