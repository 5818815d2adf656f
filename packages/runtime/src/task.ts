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

/** What the promise gives, or the signal's reason when that comes first. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    const settled = (): void => signal.removeEventListener("abort", abort);
    promise.then(resolve, reject).then(settled);
  });
}

/** A part of work that a device does in threads of its own: waited for, or begun and awaited. */
export interface DeviceTask {
  run(signal: AbortSignal | undefined): Promise<void>;
  runSync(): void;
}

/** A computation that yields where it may be interrupted (after each weight, step or node), or what a device is to do next. */
export type Work<T> = Generator<DeviceTask | undefined, T>;

/** When other tasks had their turn last. One for all work: short pieces one after the other are as much in the way as a long one. */
let lastTurn = 0;

/** Drive work to its end, letting other tasks in between. Rejects with `signal.reason` when aborted. */
export async function runInSlices<T>(work: Work<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  const unfinished: Work<unknown> = work;
  try {
    for (;;) {
      const step = work.next();
      if (step.done) return step.value;
      if (step.value) await step.value.run(signal);
      else if (performance.now() - lastTurn < SLICE_MS) continue;
      else {
        await nextTask();
        lastTurn = performance.now();
      }
      signal?.throwIfAborted();
    }
  } finally {
    // Aborted work frees what it holds.
    unfinished.return(undefined);
  }
}

/** The same without interruption. */
export function runAtOnce<T>(work: Work<T>): T {
  const unfinished: Work<unknown> = work;
  try {
    for (;;) {
      const step = work.next();
      if (step.done) return step.value;
      step.value?.runSync();
    }
  } finally {
    unfinished.return(undefined);
  }
}
