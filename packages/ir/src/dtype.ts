/** Element types. Block formats are dtypes of their own: a weight says what it is. */
export type FloatDType = "f32" | "f16" | "bf16" | "f64";
export type IntDType = "i8" | "u8" | "i16" | "i32" | "u32" | "i64";
export type BlockDType = "q8_0" | "q4_0" | "q4_k" | "q5_k" | "q6_k";
export type DType = FloatDType | IntDType | "bool" | BlockDType;

export type DTypeClass = "float" | "int" | "bool" | "block";

export interface DTypeInfo {
  readonly class: DTypeClass;
  /** Elements that are stored together; 1 unless a block format. */
  readonly blockSize: number;
  /** Bytes of one block. */
  readonly blockBytes: number;
  /** Relative rounding error of one store, 0 for exact types: half a unit in the last place. */
  readonly epsilon: number;
}

const info = (cls: DTypeClass, blockBytes: number, epsilon = 0, blockSize = 1): DTypeInfo => ({
  class: cls,
  blockSize,
  blockBytes,
  epsilon,
});

export const dtypes = {
  f32: info("float", 4, 2 ** -24),
  f16: info("float", 2, 2 ** -11),
  bf16: info("float", 2, 2 ** -8),
  f64: info("float", 8, 2 ** -53),
  i8: info("int", 1),
  u8: info("int", 1),
  i16: info("int", 2),
  i32: info("int", 4),
  u32: info("int", 4),
  i64: info("int", 8),
  bool: info("bool", 1),
  q8_0: info("block", 34, 0, 32),
  q4_0: info("block", 18, 0, 32),
  q4_k: info("block", 144, 0, 256),
  q5_k: info("block", 176, 0, 256),
  q6_k: info("block", 210, 0, 256),
} as const satisfies Record<DType, DTypeInfo>;

/** Number of a dtype in native code: its place in the table. */
export const dtypeCode = (dtype: DType): number => Object.keys(dtypes).indexOf(dtype);

export const isDType = (x: unknown): x is DType => typeof x === "string" && Object.hasOwn(dtypes, x);
export const dtypeClass = (d: DType): DTypeClass => dtypes[d].class;
export const isFloat = (d: DType): d is FloatDType => dtypes[d].class === "float";
export const isInt = (d: DType): d is IntDType => dtypes[d].class === "int";
export const isBlock = (d: DType): d is BlockDType => dtypes[d].class === "block";

/** Bytes of a dense tensor. The last extent of a block format must be whole blocks. */
export function byteLength(dtype: DType, shape: readonly number[]): number {
  const { blockSize, blockBytes } = dtypes[dtype];
  let n = 1;
  for (const d of shape) n *= d;
  return (n / blockSize) * blockBytes;
}
