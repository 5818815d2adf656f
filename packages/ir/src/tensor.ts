import { dequantize, quantize } from "./blocks.ts";
import { byteLength, type DType, dtypes, isBlock, isDType, isFloat } from "./dtype.ts";
import { RlxError } from "./errors.ts";
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "./float.ts";
import { shown } from "./shown.ts";

export type TensorData =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>;

/** The typed array that holds each dtype: f16 and bf16 as their bits, bools and block formats as bytes. */
const arrays = {
  f32: Float32Array,
  f64: Float64Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  bool: Uint8Array,
  q8_0: Uint8Array,
  q4_0: Uint8Array,
  q4_k: Uint8Array,
  q5_k: Uint8Array,
  q6_k: Uint8Array,
} as const;

/** Bytes of a tensor, of which dtype and shape are checked. */
function bytesOf(dtype: DType, shape: readonly number[]): number {
  if (!isDType(dtype))
    throw new RlxError("ERR_TENSOR", `tensor dtype: expected one of ${Object.keys(dtypes).join(", ")}, got ${shown(dtype)}`);
  if (!Array.isArray(shape) || !shape.every((d) => Number.isSafeInteger(d) && d >= 0))
    throw new RlxError("ERR_TENSOR", `tensor shape: expected a list of extents >= 0, got ${shown(shape)}`);
  const { blockSize } = dtypes[dtype];
  const last = shape.at(-1) ?? 1;
  if (last % blockSize !== 0)
    throw new RlxError("ERR_TENSOR", `tensor ${dtype}[${shape}]: the last extent must be a multiple of ${blockSize}, got ${last}`);
  const bytes = byteLength(dtype, shape);
  if (!Number.isSafeInteger(bytes)) throw new RlxError("ERR_TENSOR", `tensor ${dtype}[${shape}]: larger than 2^53 bytes`);
  return bytes;
}

/** A dense, row-major tensor in host memory. Also what graphs hold as constants, and what runs return. */
export class Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Elements (f16, bf16: bits; block formats: bytes). */
  readonly data: TensorData;

  constructor(dtype: DType, shape: readonly number[], data: TensorData) {
    const expected = bytesOf(dtype, shape);
    if (!(data instanceof arrays[dtype]))
      throw new RlxError("ERR_TENSOR", `tensor ${dtype}[${shape}]: expected ${arrays[dtype].name}, got ${shown(data)}`);
    if (data.byteLength !== expected)
      throw new RlxError("ERR_TENSOR", `tensor ${dtype}[${shape}]: expected ${expected} bytes, got ${data.byteLength}`);
    this.dtype = dtype;
    this.shape = [...shape];
    this.data = data;
  }

  static zeros(dtype: DType, shape: readonly number[]): Tensor {
    return Tensor.fromBytes(dtype, shape, new Uint8Array(bytesOf(dtype, shape)));
  }

  /** View bytes as a tensor; copies only when the bytes are not aligned for the dtype. */
  static fromBytes(dtype: DType, shape: readonly number[], bytes: Uint8Array<ArrayBuffer>): Tensor {
    const expected = bytesOf(dtype, shape);
    if (!(bytes instanceof Uint8Array) || bytes.byteLength !== expected)
      throw new RlxError("ERR_TENSOR", `tensor ${dtype}[${shape}]: expected ${expected} bytes, got ${bytes?.byteLength ?? shown(bytes)}`);
    const Ctor = arrays[dtype];
    const size = Ctor.BYTES_PER_ELEMENT;
    const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
    return new Tensor(dtype, shape, new Ctor(aligned.buffer, aligned.byteOffset, aligned.byteLength / size));
  }

  /** Round numbers (or exact bigints) to `dtype`, as `set` and `setInt` do. Block formats are quantized (q8_0 and q4_0). */
  static from(dtype: DType, shape: readonly number[], values: ArrayLike<number | bigint | boolean>): Tensor {
    bytesOf(dtype, shape);
    const n = shape.reduce((a, b) => a * b, 1);
    if (values?.length !== n)
      throw new RlxError("ERR_TENSOR", `tensor ${dtype}[${shape}]: expected ${n} values, got ${values?.length ?? shown(values)}`);
    if (isBlock(dtype)) return Tensor.fromBytes(dtype, shape, quantize(dtype, Float32Array.from(values, Number)));
    const t = Tensor.zeros(dtype, shape);
    for (let i = 0; i < n; i++) {
      const v = values[i];
      if (typeof v === "number") t.set(i, v);
      else if (typeof v === "bigint") t.setInt(i, v);
      else if (typeof v === "boolean") t.set(i, v ? 1 : 0);
      else throw new RlxError("ERR_TENSOR", `tensor ${dtype}[${shape}]: value ${i}: expected a number, got ${shown(v)}`);
    }
    return t;
  }

  get size(): number {
    return this.shape.reduce((a, b) => a * b, 1);
  }
  get bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.data.buffer, this.data.byteOffset, this.data.byteLength);
  }

  /** Element `i` (row-major) as a double; i64 above 2^53 loses bits, see `getInt`. Not for block formats: see `values`. */
  get(i: number): number {
    const v = this.data[i] ?? 0;
    if (this.dtype === "f16") return f16ToNumber(Number(v));
    if (this.dtype === "bf16") return bf16ToNumber(Number(v));
    return Number(v);
  }

  /** Store a double: floats round to nearest even; integers truncate toward zero and saturate, NaN gives 0; bools test != 0. */
  set(i: number, v: number): void {
    const { data, dtype } = this;
    if (dtype === "f16") data[i] = numberToF16(v);
    else if (dtype === "bf16") data[i] = numberToBf16(v);
    else if (dtype === "bool") data[i] = v !== 0 ? 1 : 0;
    else if (isFloat(dtype)) data[i] = v;
    else {
      const { min, max } = intRange(dtype);
      if (v >= Number(max)) this.setInt(i, max);
      else if (v <= Number(min)) this.setInt(i, min);
      else if (data instanceof BigInt64Array) data[i] = Number.isNaN(v) ? 0n : BigInt(Math.trunc(v));
      else data[i] = v; // the typed array truncates, NaN to 0
    }
  }

  /** Element `i` of an integer or bool tensor, exact. */
  getInt(i: number): bigint {
    return BigInt(this.data[i] ?? 0);
  }

  /** Store an exact integer: integer dtypes wrap, floats round once. */
  setInt(i: number, v: bigint): void {
    const { data, dtype } = this;
    if (data instanceof BigInt64Array) data[i] = BigInt.asIntN(64, v);
    else if (isFloat(dtype)) this.set(i, dtype === "f64" ? Number(v) : toOdd(v));
    else if (dtype === "bool") data[i] = v !== 0n ? 1 : 0;
    else data[i] = Number(BigInt.asIntN(32, v)); // the typed array wraps to its width
  }

  /**
   * All elements as doubles or floats, row-major, exact for every dtype but i64. Decoded once for weights and constants
   * (see `freeze`); for f32 and f64 the data itself, which must not be written.
   */
  values(): Float32Array | Float64Array {
    const { data, dtype } = this;
    if (data instanceof Float32Array || data instanceof Float64Array) return data;
    const cached = frozen.get(this);
    if (cached) return cached;
    const out =
      data instanceof Uint16Array
        ? decodeHalf(dtype, data)
        : isBlock(dtype)
          ? dequantize(dtype, this.bytes)
          : Float64Array.from(data, Number);
    if (frozen.has(this)) frozen.set(this, out);
    return out;
  }

  /** Promise that the data will not change, so that `values` may be kept. */
  freeze(): this {
    if (!frozen.has(this)) frozen.set(this, undefined);
    return this;
  }

  /** Nested-free plain list of the elements, for printing and tests. */
  toArray(): number[] {
    return Array.from(this.values());
  }
}

/** f16 or bf16 bits as floats, by table: caches and activations are decoded at every step. */
function decodeHalf(dtype: DType, data: Uint16Array): Float32Array {
  const table = halves[dtype === "f16" ? "f16" : "bf16"];
  if (Number.isNaN(table[0])) for (let i = 0; i < table.length; i++) table[i] = dtype === "f16" ? f16ToNumber(i) : bf16ToNumber(i);
  const out = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) out[i] = table[data[i] ?? 0] ?? 0;
  return out;
}
/** Filled at first use. */
const halves = { f16: new Float32Array(65536).fill(Number.NaN, 0, 1), bf16: new Float32Array(65536).fill(Number.NaN, 0, 1) };

/** A double that rounds like the integer: above 2^53 the last bit stands for all that are cut off (round to odd). */
function toOdd(v: bigint): number {
  const magnitude = v < 0n ? -v : v;
  const cut = BigInt(Math.max(0, magnitude.toString(2).length - 53));
  if (cut === 0n) return Number(v);
  const kept = magnitude >> cut;
  const odd = kept << cut === magnitude ? kept : kept | 1n;
  return Number(odd << cut) * (v < 0n ? -1 : 1);
}

const frozen = new WeakMap<Tensor, Float32Array | Float64Array | undefined>();

const ranges: Partial<Record<DType, { min: bigint; max: bigint }>> = {
  i8: { min: -128n, max: 127n },
  u8: { min: 0n, max: 255n },
  i16: { min: -32768n, max: 32767n },
  i32: { min: -(2n ** 31n), max: 2n ** 31n - 1n },
  u32: { min: 0n, max: 2n ** 32n - 1n },
  i64: { min: -(2n ** 63n), max: 2n ** 63n - 1n },
};
/** Smallest and largest value of an integer dtype. */
export function intRange(dtype: DType): { min: bigint; max: bigint } {
  const r = ranges[dtype];
  if (!r) throw new RlxError("ERR_TENSOR", `${dtype} is not an integer dtype`);
  return r;
}
