import { metalKernels } from "@rlxjs/backend-metal";
import { byteLength, type DType, dim } from "@rlxjs/ir";
import type { Operand, Step } from "@rlxjs/runtime";
import fc from "fast-check";
import { expect, test } from "vitest";
import { evalExpr } from "../src/expr.ts";
import { firstOverlap } from "../src/kernels/kv-plan.ts";

const rows = dim("rows", { min: 0, max: 5 });
interface Placed {
  readonly buffer: number;
  readonly offset: number;
  readonly dtype: DType;
  readonly isSymbolic: boolean;
}
const placed: fc.Arbitrary<Placed> = fc.record({
  buffer: fc.nat(1),
  offset: fc.nat(20).map((n) => n * 34),
  dtype: fc.constantFrom<DType>("f16", "q8_0", "u8"),
  isSymbolic: fc.boolean(),
});
const operandOf = ({ isSymbolic, ...place }: Placed): Operand => ({ ...place, shape: [isSymbolic ? rows : 2, 32] });

test("the first pair that shares bytes: what is written, with what is written behind it and with all that is read", () => {
  fc.assert(
    fc.property(
      fc.array(placed, { minLength: 1, maxLength: 4 }),
      fc.array(placed, { maxLength: 2 }),
      fc.nat(5),
      (written, others, count) => {
        const span = ({ buffer, offset, dtype, isSymbolic }: Placed) => ({
          buffer,
          begin: offset,
          end: offset + byteLength(dtype, [isSymbolic ? count : 2, 32]),
        });
        const meet = (a: Placed, b: Placed): boolean => {
          const [x, y] = [span(a), span(b)];
          return x.buffer === y.buffer && Math.min(x.end, y.end) > Math.max(x.begin, y.begin);
        };
        const pairs = written.flatMap((a, i) => [...written.slice(i + 1), ...others].map((b) => [a, b] as const));
        const found = firstOverlap(written.map(operandOf), others.map(operandOf));
        expect(evalExpr(found, { rows: count })).toBe(pairs.findIndex(([a, b]) => meet(a, b)) + 1);
      },
    ),
    { numRuns: 2000, seed: 1 },
  );
});

test("which operands a refusal names", () => {
  const words = (op: string, count: number): string[] => {
    const kernel = metalKernels.find((k) => k.op === op);
    const step = { op, attrs: {} } as Step;
    return Array.from({ length: count }, (_, i) => kernel?.refusal?.(step, { code: 8, values: [BigInt(i + 1), 0n, 0n] }) ?? "");
  };
  const said = (pairs: readonly string[]): string[] =>
    pairs.map((pair) => {
      const [other, name] = pair.split(" over ");
      return `${other}: expected memory of its own, got memory that overlaps ${name}`;
    });
  expect(words("kv_write", 1)).toEqual(said(["x over cache"]));
  expect(words("kv_quantize", 3)).toEqual(said(["norms over packed", "x over packed", "x over norms"]));
  expect(words("kv_write_pair", 5)).toEqual(
    said(["vCache over kCache", "k over kCache", "v over kCache", "k over vCache", "v over vCache"]),
  );
  expect(words("kv_quantize_pair", 14).slice(-1)).toEqual(said(["v over vNorms"]));
});
