import type { Tensor } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import { WeightStore } from "../weights.ts";

export type ParamTensors = Readonly<Record<string, Tensor>>;

/** Bytes that are compared before other tasks may run. */
const CHUNK = 1 << 20;

/**
 * The WeightStore of a family of graphs: one that was given, or one of the first params that come. Later params with the same contents
 * are taken from it, so that they and their packed forms exist once; others belong to their graph alone.
 */
export class SharedParams implements Disposable {
  #store: WeightStore | undefined;
  #release: () => void;

  constructor(given: WeightStore | undefined) {
    this.#store = given;
    this.#release = given?.retain() ?? (() => undefined);
  }

  /** How to compile a graph with these params. Not to be started when the cache is gone: a store made then would be nobody's. */
  *optionsFor(params: ParamTensors): Work<{ readonly weights?: WeightStore; readonly overrides: ParamTensors }> {
    if (!this.#store && Object.keys(params).length > 0) {
      const store = new WeightStore(params);
      this.#store = store;
      this.#release = () => store[Symbol.dispose]();
    }
    const weights = this.#store;
    return weights ? { weights, overrides: yield* differing(params, weights) } : { overrides: {} };
  }

  [Symbol.dispose](): void {
    this.#release();
    this.#release = () => undefined;
  }
}

function* differing(params: ParamTensors, store: WeightStore): Work<ParamTensors> {
  const out: [string, Tensor][] = [];
  for (const [name, tensor] of Object.entries(params)) {
    const known = store.get(name);
    if (!known || !(yield* sameTensor(known, tensor))) out.push([name, tensor]);
  }
  return Object.fromEntries(out);
}

function* sameTensor(a: Tensor, b: Tensor): Work<boolean> {
  if (a === b) return true;
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
  const [x, y] = [a.bytes, b.bytes];
  if (x.buffer === y.buffer && x.byteOffset === y.byteOffset) return true;
  for (let start = 0; start < x.length; start += CHUNK) {
    const end = Math.min(start + CHUNK, x.length);
    for (let i = start; i < end; i++) if (x[i] !== y[i]) return false;
    yield;
  }
  return true;
}
