/** Lets one action at a time at what several users share, in the order in which they asked. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Do something when it is its turn. Aborted while it waits, it rejects at once and is never begun. */
  async take<T>(action: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const turn = this.#last;
    const result = turn.then(() => {
      signal?.throwIfAborted();
      return action();
    });
    this.#last = result.catch(() => undefined);
    await untilAborted(turn, signal);
    return result;
  }
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
