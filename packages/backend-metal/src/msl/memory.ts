import type { ComputeClass, DType } from "@rlxjs/ir";

/** Types of elements in memory. */
const types: Partial<Record<DType, string>> = {
  f32: "float",
  f16: "half",
  bf16: "bf16",
  i8: "char",
  u8: "uchar",
  i16: "short",
  i32: "int",
  u32: "uint",
  i64: "long",
  bool: "bool",
};

/** Why nothing is computed with f64. */
export const noF64 = "metal has no f64";

/** Why elements of a dtype cannot be registers; undefined when they can. */
export const noElement = (dtype: DType): string | undefined =>
  dtype === "f64" ? noF64 : types[dtype] === undefined ? `elements of block format ${dtype}` : undefined;

/** A parameter of a kernel: the elements of an operand. Bools are read as bytes, of which any but 0 is true. */
export const readPointer = (dtype: DType, name: string): string => `device const ${dtype === "bool" ? "uchar" : types[dtype]} *${name}`;
export const writePointer = (dtype: DType, name: string): string => `device ${types[dtype]} *${name}`;

/** The value of an element as a register. */
export function loaded(dtype: DType, compute: ComputeClass, element: string): string {
  if (dtype === "bool") return `${compute === "i64" ? "long" : "float"}(${element} != 0)`;
  if (dtype === "f16" || dtype === "bf16") return `to_float(${element})`;
  return dtype === "f32" ? element : `${compute === "i64" ? "long" : "float"}(${element})`;
}
