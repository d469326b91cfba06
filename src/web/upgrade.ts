/** Its answer, if there is one, cannot tell the browser a new id: a socket begins. */
export function isUpgrade(headers: Readonly<Record<string, unknown>>): boolean {
  return headers.upgrade !== undefined;
}
