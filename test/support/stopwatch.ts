/**
 * Time for tests of "within a time", on a machine that does other things too. How fast something is, is for the benches.
 */
const TICK_MS = 5;
let lastMs = 0;
let lostMs = 0;

function look(): number {
  const nowMs = performance.now();
  lostMs += Math.max(0, nowMs - lastMs - 2 * TICK_MS);
  lastMs = nowMs;
  return nowMs - lostMs;
}

/** Milliseconds since, without those in which this process itself was kept from running. */
export function stopwatch(): () => number {
  if (lastMs === 0) {
    lastMs = performance.now();
    setInterval(look, TICK_MS).unref();
  }
  const start = look();
  return () => look() - start;
}

const BEAT_MS = 5;

/**
 * Milliseconds as the machine has them: each five are a timer's and one round trip to Redis, however long those take. For what
 * goes through other processes too, which may be kept from running as well; on an idle machine they are hardly longer than others.
 */
export function beatsOf(ping: () => Promise<unknown>): {
  readonly stopwatch: () => () => number;
  readonly stop: () => void;
} {
  let beats = 0;
  let isStopped = false;
  const beat = async () => {
    while (!isStopped) {
      await new Promise((resolve) => setTimeout(resolve, BEAT_MS));
      await ping();
      beats += 1;
    }
  };
  // Its connection is closed under it at the end of the file.
  void beat().catch(() => {});
  const stopwatch = () => {
    const start = beats;
    return () => (beats - start) * BEAT_MS;
  };
  return {
    stopwatch,
    stop: () => {
      isStopped = true;
    },
  };
}

/** While `work` runs, the longest that this thread did not look at its events; not counted is when it was kept from running. */
export async function longestTurnMs(work: () => Promise<unknown>): Promise<number> {
  let longestMs = 0;
  let from = process.cpuUsage();
  const turn = () => {
    longestMs = Math.max(longestMs, cpuMs(from));
    from = process.cpuUsage();
  };
  const timer = setInterval(turn, 1);
  try {
    await work();
    turn();
  } finally {
    clearInterval(timer);
  }
  return longestMs;
}

/** The processor's time of this process since `from`, a `process.cpuUsage()`: other processes do not count. */
export function cpuMs(from: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1000;
}
