/**
 * Where each thing has its page, below the mount. Ids stand in the query: a user may be called `..` or `a/b`, and proxies
 * differ about what they make of those in a path.
 */
export const incidentPath = (caseId: string) => `/incidents/${encodeURIComponent(caseId.replace(/\p{Cs}/gu, '?'))}`;
export const userPath = (userId: string) => withQuery('/user', { id: userId });
export const addressPath = (address: string) => withQuery('/address', { address });
export const networkPath = (network: string) => withQuery('/network', { network });

/** A path with a query; what is undefined, null or '' is left out. Takes any text: half a surrogate pair is no error here. */
export function withQuery(path: string, query: Readonly<Record<string, string | number | null | undefined>>): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === null || value === '' ? [] : [[name, String(value)] as [string, string]],
  );
  const search = new URLSearchParams(pairs).toString();
  return search === '' ? path : `${path}?${search}`;
}
