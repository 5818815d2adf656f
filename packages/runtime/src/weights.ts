import type { Tensor } from "@rlxjs/ir";
import { UseAfterDisposeError, WeightNameError } from "./errors.ts";
import { trackLeak, untrackLeak } from "./leaks.ts";

/** A weight, or how to get it: called at most once, when a graph first needs it. */
export type WeightEntry = Tensor | (() => Tensor);

export interface WeightStoreOptions {
  /** Called when the store and every graph that uses it are disposed: closes mapped files. */
  readonly onRelease?: () => void;
}

/**
 * Named weights, shared by any number of compiled graphs. Immutable; counted references: the creator's ends with `dispose`, a compiled
 * graph's with its own. Packed forms and the values of weight expressions are made once and kept here.
 */
export class WeightStore implements Disposable {
  readonly #entries: Map<string, WeightEntry>;
  readonly #derived = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly #used = new Set<string>();
  readonly #owner: { references: number; readonly onRelease: (() => void) | undefined };
  #disposed = false;

  constructor(
    entries: Iterable<readonly [string, WeightEntry]> | Readonly<Record<string, WeightEntry>> = [],
    options: WeightStoreOptions = {},
  ) {
    this.#entries = new Map();
    for (const [name, entry] of Symbol.iterator in entries ? entries : Object.entries(entries)) {
      if (this.#entries.has(name)) throw new WeightNameError("weight store", name, "is given twice");
      this.#entries.set(name, entry);
    }
    this.#owner = { references: 1, onRelease: options.onRelease };
    const owner = this.#owner;
    if (owner.onRelease) trackLeak(this, `a WeightStore of ${this.#entries.size} weights`, () => owner.onRelease?.());
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }
  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** The weight, or undefined when the store has none of this name. */
  get(name: string): Tensor | undefined {
    if (this.#owner.references === 0) throw new UseAfterDisposeError("a WeightStore");
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    this.#used.add(name);
    const tensor = typeof entry === "function" ? entry() : entry;
    if (tensor !== entry) this.#entries.set(name, tensor.freeze());
    return tensor;
  }

  /** Names that no graph has asked for so far. */
  unused(): string[] {
    return this.names.filter((n) => !this.#used.has(n));
  }

  /** Bytes of packed forms and evaluated expressions. */
  get derivedBytes(): number {
    let sum = 0;
    for (const b of this.#derived.values()) sum += b.byteLength;
    return sum;
  }

  /** A packed form or an evaluated expression by its structural key. For the runtime. */
  derived(key: string): Uint8Array<ArrayBuffer> | undefined {
    return this.#derived.get(key);
  }
  /** Keep a packed form or an evaluated expression for every graph that shares the store; the first one stays. For the runtime. */
  keep(key: string, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const kept = this.#derived.get(key) ?? bytes;
    this.#derived.set(key, kept);
    return kept;
  }

  /** Count one more user; returns how to end that use, which may be called once. For the runtime. */
  retain(): () => void {
    if (this.#owner.references === 0) throw new UseAfterDisposeError("a WeightStore");
    this.#owner.references++;
    return () => this.#release();
  }

  /** End the creator's use. Compiled graphs that use the store keep it alive. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#release();
  }

  #release(): void {
    if (--this.#owner.references > 0) return;
    untrackLeak(this);
    this.#entries.clear();
    this.#derived.clear();
    this.#owner.onRelease?.();
  }
}
