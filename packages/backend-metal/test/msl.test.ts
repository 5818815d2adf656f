import { type DType, evalFloatBody, ops, Rng, type ScalarBody, scalarBuilder, scalarOps, Tensor } from "@rlxjs/ir";
import { describe, expect, test } from "vitest";
import { type Case, resultsOf, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { printBody, unprintable } from "../src/msl/body.ts";
import { floatLiteral } from "../src/msl/literal.ts";
import { floatOps, type Instruction, intOps, randomRegions, region } from "./bodies.ts";
import { backendOf, describeOnMetal, expectNoFaults, strictest, variants } from "./variants.ts";

const [fast = strictest] = variants;

/** Regions on the device are as their reference says. */
function expectRight(cases: readonly Case[]): void {
  for (const variant of new Set([fast, strictest])) {
    expect(wrongResults(ops.region, cases, resultsOf(backendOf(variant), ops.region, cases)), variant.name).toEqual([]);
    expectNoFaults();
  }
}

/** One instruction on registers 0, 1, ... */
const single = (op: Instruction, compute: "f32" | "i64"): ScalarBody => {
  const inputs = scalarOps[op];
  return { inputs, compute, steps: [{ op, args: [0, 1, 2].slice(0, inputs) }], outputs: [inputs] };
};

/** All tuples of values, by position. */
const columns = <T>(values: readonly T[], width: number): T[][] =>
  Array.from({ length: width }, (_, axis) =>
    Array.from({ length: values.length ** width }, (_row, i) => values[Math.floor(i / values.length ** axis) % values.length] as T),
  );

const floats = [
  ...[0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 2, -2, 3, -7, 10, 100.25, 16777216, 16777217],
  ...[2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 63, 1e-3, 1e-30, 3.4e38, -3.4e38, Infinity, -Infinity, NaN],
];
const integers = [
  0n,
  1n,
  -1n,
  2n,
  -2n,
  7n,
  -128n,
  255n,
  65536n,
  2n ** 31n,
  -(2n ** 31n),
  2n ** 32n + 5n,
  2n ** 63n - 1n,
  -(2n ** 63n),
  1n - 2n ** 63n,
];

describe("text", () => {
  test("literals are exactly the float", () => {
    const values = [0, -0, 1, -2, 0.1, 1 / 3, 1e21, 3.4028234663852886e38, 2 ** -149, 16777217, Infinity, -Infinity, NaN];
    expect(values.map(floatLiteral).join(" ")).toMatchInlineSnapshot(
      `"0.0f -0.0f 1.0f -2.0f 0.10000000149011612f 0.3333333432674408f 1.0000000200408773e+21f 3.4028234663852886e+38f 1.401298464324817e-45f 16777216.0f INFINITY -INFINITY NAN"`,
    );
  });

  test("a body, without what its result does not need", () => {
    const s = scalarBuilder(3);
    const gate = s.mul(0, s.sigmoid(0));
    s.exp(2);
    const body: ScalarBody = {
      inputs: 3,
      compute: "f32",
      steps: s.steps,
      outputs: [s.to_f16(s.max(gate, s.select(s.lt(1, s.c(0)), 1, 0)))],
    };
    expect(body.outputs).toEqual([3 + s.steps.length - 1]);
    const { lines, result } = printBody(body, ["x0[i]", "to_float(x1[i])", "x2[i]"]);
    expect([...lines, result].join("\n")).toMatchInlineSnapshot(`
      "const float r0 = x0[i];
      const float r1 = to_float(x1[i]);
      const float r3 = scalar_sigmoid(r0);
      const float r4 = r0 * r3;
      const float r6 = 0.0f;
      const float r7 = float(r1 < r6);
      const float r8 = r7 != 0 ? r1 : r0;
      const float r9 = scalar_max(r4, r8);
      const float r10 = float(half(r9));
      r10"
    `);
  });

  test("every instruction of a class can be printed; no other can", () => {
    for (const op of floatOps) expect(unprintable(single(op, "f32"))).toBeUndefined();
    for (const op of intOps) expect(unprintable(single(op, "i64"))).toBeUndefined();
    expect(unprintable({ inputs: 1, compute: "i64", steps: [{ op: "exp", args: [0] }], outputs: [1] })).toBe("exp of i64");
    expect(unprintable({ inputs: 1, compute: "f64", steps: [], outputs: [0] })).toBe("metal has no f64");
  });
});

describeOnMetal("expressions on the device", () => {
  const each = (
    list: readonly Instruction[],
    compute: "f32" | "i64",
    of: (op: Instruction, width: number) => Tensor[],
    dtype: DType,
  ): Case[] => list.map((op) => region(op, single(op, compute), of(op, scalarOps[op]), dtype));

  test("floats that are special, in all combinations", () => {
    expectRight(each(floatOps, "f32", (_, width) => columns(floats, width).map((c) => Tensor.from("f32", [c.length], c)), "f32"));
  });

  test("instructions that round once, or not at all, give the very bits: signs of zeros too", () => {
    const exact = floatOps.filter(
      (op) => !["exp", "log", "rsqrt", "sin", "cos", "tan", "atan", "tanh", "erf", "sigmoid", "pow"].includes(op),
    );
    const cases = each(exact, "f32", (_, width) => columns(floats, width).map((c) => Tensor.from("f32", [c.length], c)), "f32");
    const results = resultsOf(backendOf(fast), ops.region, cases);
    const wrong = cases.flatMap(({ name, slots, attrs }, k) =>
      (results[k]?.toArray() ?? []).flatMap((got, i) => {
        const values = slots.map((t) => t?.get(i) ?? 0);
        const expected = Math.fround(evalFloatBody(attrs.body as unknown as ScalarBody, values)[0] ?? 0);
        const subnormal = expected !== 0 && Math.abs(expected) < 2 ** -126; // which a GPU may take for 0
        return subnormal || Object.is(got, expected) ? [] : [`${name} of ${values}: ${got}, expected ${expected}`];
      }),
    );
    expect(wrong).toEqual([]);
  });

  test("a remainder is exact, also of and down to subnormal numbers", () => {
    // Integers compute it; a GPU may still take subnormal operands for 0.
    const tiny = fast.software ? [2 ** -149, 3e-45, 5e-39, 2 ** -126 - 2 ** -149, 7e-39] : [];
    const values = [...tiny, 2 ** -126, 1.8e-38, 2.3e-38, 3.2e-38, 1e-30, 0.1, 12582913, 12582914, 3221225984, 3e38].flatMap((v) => [
      v,
      -v,
    ]);
    const [a = [], b = []] = columns(values, 2);
    const slots = [a, b].map((c) => Tensor.from("f32", [c.length], c));
    const [got] = resultsOf(backendOf(fast), ops.region, [region("rem", single("rem", "f32"), slots, "f32")]);
    const wrong = a.flatMap((_, i) => {
      const [x = 0, y = 0] = slots.map((t) => t.get(i));
      return Object.is(got?.get(i), x % y) ? [] : [`${x} % ${y}: ${got?.get(i)}, expected ${x % y}`];
    });
    expect(wrong).toEqual([]);
  });

  test("a power is within two units in the last place, also where it enlarges what a logarithm has lost", () => {
    const rng = new Rng(13);
    const small = fast.software ? [1e-40, 3.3e-39] : [];
    const x = Array.from({ length: 3000 }, (_, i) => small[i] ?? 0.3 + 3 * rng.uniform());
    const y = x.map((v) => (2 * rng.uniform() - 1) * Math.min(60, 86 / Math.abs(Math.log(v))));
    const slots = [x, y].map((c) => Tensor.from("f32", [c.length], c));
    const [got] = resultsOf(backendOf(fast), ops.region, [region("pow", single("pow", "f32"), slots, "f32")]);
    const wrong = x.flatMap((_, i) => {
      const [base = 0, exponent = 0] = slots.map((t) => t.get(i));
      const expected = base ** exponent;
      const unit = 2 ** (Math.floor(Math.log2(expected)) - 23);
      const units = Math.abs((got?.get(i) ?? 0) - expected) / unit;
      return units <= 2 ? [] : [`${base} ** ${exponent}: ${units} units`];
    });
    expect(wrong).toEqual([]);
  });

  test("an integer 0 is a float 0 without a sign", () => {
    const body: ScalarBody = { inputs: 1, compute: "i64", steps: [], outputs: [0] };
    for (const dtype of ["f32", "f16", "bf16"] as const) {
      const [zero] = resultsOf(backendOf(fast), ops.region, [region(dtype, body, [Tensor.zeros("i64", [3])], dtype)]);
      expect(zero?.toArray(), dtype).toEqual([0, 0, 0]);
    }
  });

  test("integers that are special, in all combinations", () => {
    expectRight(each(intOps, "i64", (_, width) => columns(integers, width).map((c) => Tensor.from("i64", [c.length], c)), "i64"));
  });

  test("functions on floats of every size", () => {
    const rng = new Rng(5);
    const bits = (n: number): Float32Array =>
      new Float32Array(Uint32Array.from({ length: n }, () => Number(rng.next() & 0xffffffffn)).buffer);
    const near = (n: number): number[] => Array.from({ length: n }, () => rng.uniform() * 20 - 10);
    const periodic = new Set<Instruction>(["sin", "cos", "tan"]);
    const of = (op: Instruction, width: number): Tensor[] =>
      Array.from({ length: width }, () => Tensor.from("f32", [6000], [...(periodic.has(op) ? near(2000) : bits(2000)), ...near(4000)]));
    expectRight(each(floatOps, "f32", of, "f32"));
  });

  test("every literal has its own bits", () => {
    const values = [...floats, ...new Rng(9).normals(20), 2 ** -149, 2 ** -126, 3.4028234663852886e38];
    const cases = values.map((v) =>
      region(
        String(v),
        { inputs: 1, compute: "f32", steps: [{ op: "const", args: [], imm: v }], outputs: [1] },
        [Tensor.from("f32", [], [1])],
        "f32",
      ),
    );
    const backend = backendOf(fast);
    const bits = resultsOf(backend, ops.region, cases).map((t) => new Uint32Array(t.bytes.slice().buffer)[0]);
    expect(bits).toEqual([...new Uint32Array(Float32Array.from(values).buffer)]);
  });

  test.each(["f32", "i64"] as const)("random bodies of class %s: operands of every dtype, broadcast, into every dtype", (compute) => {
    expectRight(randomRegions(compute, 3, 60));
  });
});
