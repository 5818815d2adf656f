import { type DType, dtypes, Tensor } from "@rlxjs/ir";
import { ModelFileError } from "./errors.ts";
import type { ByteSource } from "./source.ts";

/** What a checkpoint says about a tensor. */
export interface TensorInfo {
  readonly name: string;
  /** Row-major, outermost first. */
  readonly shape: readonly number[];
  /** Undefined: stored in a format that rlxjs does not read; only using the tensor is an error. */
  readonly dtype: DType | undefined;
  /** The format's own name of the stored type, such as `BF16` or `IQ4_XS`. */
  readonly storedAs: string;
  readonly byteLength: number;
}

/** The tensors of a model file or of a set of shards. Data stays in its file until asked for, and keeps its dtype. */
export interface Checkpoint extends Disposable {
  /** The first file's name, for messages. */
  readonly file: string;
  names(): readonly string[];
  has(name: string): boolean;
  /** Throws ModelFileError for a name that is not there. */
  info(name: string): TensorInfo;
  /** The tensor in its stored dtype; a view of the file where that is mapped, valid until the checkpoint is disposed. */
  tensor(name: string): Promise<Tensor>;
  /** The same at once; only when `mapped`. */
  tensorSync(name: string): Tensor;
  /** All of the files are mapped or in memory. */
  readonly mapped: boolean;
  /** Names that nobody has asked for (`tensor` or `tensorSync`), in file order. */
  unused(): readonly string[];
}

/** Where a tensor's bytes are. */
export interface StoredTensor extends TensorInfo {
  readonly source: ByteSource;
  readonly offset: number;
}

/** A checkpoint over tensors whose offsets and sizes have been checked against their files. */
export class StoredCheckpoint implements Checkpoint {
  readonly file: string;
  readonly mapped: boolean;
  readonly #tensors: ReadonlyMap<string, StoredTensor>;
  readonly #sources: readonly ByteSource[];
  readonly #used = new Set<string>();

  /** Takes over the sources: they are disposed with the checkpoint. */
  constructor(file: string, sources: readonly ByteSource[], tensors: Iterable<StoredTensor>) {
    const map = new Map<string, StoredTensor>();
    for (const t of tensors) {
      if (map.has(t.name)) throw new ModelFileError({ file, tensor: t.name, expected: "each tensor once", given: "it twice" });
      map.set(t.name, t);
    }
    this.file = file;
    this.mapped = sources.every((s) => s.view !== undefined);
    this.#tensors = map;
    this.#sources = sources;
  }

  names(): readonly string[] {
    return [...this.#tensors.keys()];
  }
  has(name: string): boolean {
    return this.#tensors.has(name);
  }
  info(name: string): StoredTensor {
    const t = this.#tensors.get(name);
    if (!t)
      throw new ModelFileError({
        file: this.file,
        tensor: name,
        expected: "a tensor of this name",
        given: `${this.#tensors.size} others`,
      });
    return t;
  }
  async tensor(name: string): Promise<Tensor> {
    const t = this.#use(name);
    return Tensor.fromBytes(t.dtype, t.shape, await t.source.read(t.offset, t.byteLength));
  }
  tensorSync(name: string): Tensor {
    const t = this.#use(name);
    if (!t.source.view)
      throw new ModelFileError({
        file: t.source.name,
        tensor: name,
        expected: "a mapped file for synchronous reads",
        given: "one that is read",
      });
    return Tensor.fromBytes(t.dtype, t.shape, t.source.view(t.offset, t.byteLength));
  }
  unused(): readonly string[] {
    return this.names().filter((name) => !this.#used.has(name));
  }
  [Symbol.dispose](): void {
    for (const s of this.#sources) s[Symbol.dispose]();
  }

  #use(name: string): StoredTensor & { readonly dtype: DType } {
    const t = this.info(name);
    const { dtype } = t;
    if (dtype === undefined)
      throw new ModelFileError({
        file: t.source.name,
        tensor: name,
        expected: `one of ${Object.keys(dtypes).join(" ")}`,
        given: `the type ${t.storedAs}`,
      });
    this.#used.add(name);
    return { ...t, dtype };
  }
}

/** Number of elements, or undefined when an extent is not a count or the product leaves the exact integers. */
export function elementCount(shape: readonly number[]): number | undefined {
  let n = 1;
  for (const d of shape) {
    if (!Number.isSafeInteger(d) || d < 0) return undefined;
    n *= d;
    if (n > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return n;
}
