import { untilAborted } from "../task.ts";

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
