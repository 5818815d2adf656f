/** How long synchronous work may hold the event loop before it lets other tasks run. */
const SLICE_MS = 5;

/** Resolves in a new task, after timers and I/O that are due had their turn. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** A computation that yields where it may be interrupted: after each weight, step or node. */
export type Work<T> = Generator<void, T>;

/** Drive work to its end, letting other tasks in between. Rejects with `signal.reason` when aborted. */
export async function runInSlices<T>(work: Work<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  const unfinished: Work<unknown> = work;
  try {
    let started = performance.now();
    for (;;) {
      const step = work.next();
      if (step.done) return step.value;
      if (performance.now() - started < SLICE_MS) continue;
      await nextTask();
      signal?.throwIfAborted();
      started = performance.now();
    }
  } finally {
    // Aborted work frees what it holds.
    unfinished.return(undefined);
  }
}

/** The same without interruption. */
export function runAtOnce<T>(work: Work<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}
