import { GpuKvBinding } from "./gpu-binding.ts";

/**
 * The bindings of a model that decodes by several graphs: token by token, token by token between blocks, and in blocks. A cache is in one
 * of them at a time and moves within the device when a graph of another one runs.
 */
export class GpuKvCacheSet implements Disposable {
  readonly causal: GpuKvBinding = new GpuKvBinding();
  readonly decodeMtp: GpuKvBinding = new GpuKvBinding();
  readonly mtp: GpuKvBinding = new GpuKvBinding();

  /** Free everything, for a new sequence. Rows that are not on the host are lost. */
  reset(): void {
    for (const binding of [this.causal, this.decodeMtp, this.mtp]) binding.reset();
  }

  /**
   * After a block: free what the token-by-token graphs hold of a cache that is elsewhere too, on the host or in `mtp`. Their next step takes
   * the rows, those of the block included, from there.
   */
  resetDecodeAfterMtp(): void {
    for (const binding of [this.causal, this.decodeMtp]) if (!binding.kv || binding.kv.hostLen === binding.kv.pastLen) binding.reset();
  }

  [Symbol.dispose](): void {
    this.reset();
  }
}
