/**
 * Finds stop strings in text that arrives in pieces. Text that may be the beginning of a stop string is held back until it is
 * decided, so that no part of a stop string is ever shown.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((s) => s.length > 0);
  }

  /** Text that may be shown now, and the stop string that was found, if any. */
  push(text: string): { readonly text: string; readonly stop?: string } {
    const all = this.#held + text;
    let found: { readonly start: number; readonly end: number; readonly stop: string } | undefined;
    for (const stop of this.#stops) {
      const start = all.indexOf(stop);
      const end = start + stop.length;
      // The one that is complete first wins, then the longer one: the same however the text is cut into pieces.
      if (start >= 0 && (!found || end < found.end || (end === found.end && start < found.start))) found = { start, end, stop };
    }
    if (found) {
      this.#held = "";
      return { text: all.slice(0, found.start), stop: found.stop };
    }
    const keep = this.#pending(all);
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep) };
  }

  /** What is still held back when the text ends. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  /** Length of the longest suffix that begins a stop string. */
  #pending(all: string): number {
    let longest = 0;
    for (const s of this.#stops)
      for (let n = Math.min(s.length - 1, all.length); n > longest; n--)
        if (s.startsWith(all.slice(all.length - n))) {
          longest = n;
          break;
        }
    return longest;
  }
}
