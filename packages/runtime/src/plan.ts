/** Alignment of every arena buffer: a cache line, and the widest vector. */
export const ALIGNMENT = 64;
export const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** One temporary: it is alive from step `start` to step `end`, both included. */
export interface Temporary {
  readonly bytes: number;
  readonly start: number;
  readonly end: number;
  /** Takes over the memory of this temporary (by index), which has the same size and ends at our `start`. */
  readonly inPlaceOf?: number | undefined;
}

export interface MemoryPlan {
  /** Byte offset of each temporary. */
  readonly offsets: readonly number[];
  readonly arenaBytes: number;
}

interface Block {
  readonly bytes: number;
  readonly start: number;
  end: number;
  offset: number;
}

/**
 * Interval best fit: in order of first use, each temporary takes the smallest free gap that holds it, or grows the arena.
 * O(n log n) comparisons in the number of temporaries.
 */
export function planMemory(temporaries: readonly Temporary[]): MemoryPlan {
  const blockOf: Block[] = [];
  const blocks: Block[] = [];
  for (const [i, t] of temporaries.entries()) {
    const taken = t.inPlaceOf === undefined ? undefined : blockOf[t.inPlaceOf];
    if (taken) taken.end = Math.max(taken.end, t.end);
    const block = taken ?? { bytes: align(t.bytes), start: t.start, end: t.end, offset: 0 };
    if (!taken) blocks.push(block);
    blockOf[i] = block;
  }
  const byStart = [...blocks].sort((a, b) => a.start - b.start || b.bytes - a.bytes);
  const byEnd = [...blocks].sort((a, b) => a.end - b.end);
  const gaps = new Gaps();
  let expired = 0;
  for (const block of byStart) {
    for (let dead = byEnd[expired]; dead && dead.end < block.start; dead = byEnd[++expired]) gaps.release(dead.offset, dead.bytes);
    block.offset = gaps.take(block.bytes);
  }
  return { offsets: blockOf.map((b) => b.offset), arenaBytes: gaps.arenaBytes };
}

/** The free gaps of an arena: sorted by size for the best fit, found by either end for merging. */
class Gaps {
  arenaBytes = 0;
  readonly #bySize: { readonly offset: number; readonly bytes: number }[] = [];
  readonly #atStart = new Map<number, number>();
  readonly #atEnd = new Map<number, number>();

  take(bytes: number): number {
    if (bytes === 0) return 0;
    const fit = this.#bySize[this.#search(bytes, 0)];
    if (fit) {
      this.#remove(fit.offset, fit.bytes);
      if (fit.bytes > bytes) this.#add(fit.offset + bytes, fit.bytes - bytes);
      return fit.offset;
    }
    // A gap at the very end only has to grow.
    const last = this.#atEnd.get(this.arenaBytes);
    const offset = last ?? this.arenaBytes;
    if (last !== undefined) this.#remove(last, this.arenaBytes - last);
    this.arenaBytes = offset + bytes;
    return offset;
  }

  release(offset: number, bytes: number): void {
    if (bytes === 0) return;
    let start = offset;
    let end = offset + bytes;
    const before = this.#atEnd.get(start);
    if (before !== undefined) {
      this.#remove(before, start - before);
      start = before;
    }
    const after = this.#atStart.get(end);
    if (after !== undefined) {
      this.#remove(end, after);
      end += after;
    }
    this.#add(start, end - start);
  }

  #add(offset: number, bytes: number): void {
    this.#bySize.splice(this.#search(bytes, offset), 0, { offset, bytes });
    this.#atStart.set(offset, bytes);
    this.#atEnd.set(offset + bytes, offset);
  }

  #remove(offset: number, bytes: number): void {
    this.#bySize.splice(this.#search(bytes, offset), 1);
    this.#atStart.delete(offset);
    this.#atEnd.delete(offset + bytes);
  }

  /** First gap that is not before (bytes, offset) in the order by size, then offset. */
  #search(bytes: number, offset: number): number {
    let low = 0;
    let high = this.#bySize.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      const gap = this.#bySize[mid];
      if (gap && (gap.bytes < bytes || (gap.bytes === bytes && gap.offset < offset))) low = mid + 1;
      else high = mid;
    }
    return low;
  }
}
