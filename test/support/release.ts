/** Releases run in reverse order, each once; all of them run, then the first failure is told. */
type Release = () => unknown;

const releases: Release[] = [];

export function release(end: Release): void {
  releases.push(end);
}

export async function releaseAll(): Promise<void> {
  const failures: unknown[] = [];
  for (let end = releases.pop(); end !== undefined; end = releases.pop()) {
    try {
      await end();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
