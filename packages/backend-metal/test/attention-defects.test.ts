import type { MetalKernel } from "@rlxjs/backend-metal";
import { metalKernels } from "@rlxjs/backend-metal";
import { type AttrRecord, checkAttrs, type DType, findMismatch, ops, Rng, randomTensor, runReference, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { OneOp } from "../../backend-cpu/test/one-op.ts";
import { integer } from "../../backend-cpu/test/suites/attention-problem.ts";
import { MetalError } from "../src/errors.ts";
import { withFault } from "./planted.ts";
import { createVariant, describeOnMetal, expectNoFaults, fastest, takeFaults } from "./variants.ts";

// Defects of the kernels that these ones come after: each check passes on ours and fails once the defect is planted.

interface Call {
  readonly queries: number;
  readonly length: number;
  readonly capacity?: number;
  readonly headDim?: number;
  readonly q?: DType;
  readonly cache?: DType;
  readonly qPos?: number;
  readonly ringStart?: number;
  /** A slot that the mask hides. */
  readonly hidden?: number;
  readonly attrs?: AttrRecord;
}

/** Slots of a cache that hold no key, or a hidden one, are NaN. */
function operands(call: Call): (Tensor | undefined)[] {
  const { queries, length, capacity = length, headDim = 64, q = "f32", cache = "f32", ringStart = 0, hidden } = call;
  const rng = new Rng(queries + length);
  const [k, v] = [0, 1].map(() => randomTensor(rng, cache, [1, capacity, 2 * headDim]));
  for (const t of [k, v])
    for (let i = 0; t && i < t.size; i++) {
      const slot = Math.floor(i / 2 / headDim);
      if (slot === hidden || (slot - ringStart + capacity) % capacity >= length) t.set(i, Number.NaN);
    }
  const keep = Array.from({ length: capacity }, (_, slot) => Number(slot !== hidden));
  const named: Readonly<Record<string, Tensor | undefined>> = {
    q: randomTensor(rng, q, [1, queries, 4 * headDim]),
    k,
    v,
    mask: hidden === undefined ? undefined : Tensor.from("bool", [1, capacity], keep),
    qPos: call.qPos === undefined ? undefined : integer(call.qPos),
    kvLen: integer(length),
    ringStart: call.ringStart === undefined ? undefined : integer(ringStart),
  };
  return ops.attention.inputs.map(({ name }) => named[name]);
}

/** Whether results are within the bound; software Metal stops a kernel that reads beyond its operands. */
function isRight(kernels: readonly MetalKernel[], call: Call): boolean {
  using backend = createVariant(fastest, { metalKernels: kernels });
  const slots = operands(call);
  const { headDim = 64, hidden, attrs: more } = call;
  const maskKind = hidden === undefined ? "none" : "keep";
  const attrs = checkAttrs(ops.attention, { numHeads: 4, numKvHeads: 2, headDim, causal: true, maskKind, ...more });
  using one = new OneOp(backend, ops.attention, { name: "attention", slots, attrs });
  try {
    const actual = one.runSync();
    const expected = actual.map((t) => Tensor.zeros(t.dtype, t.shape));
    runReference(ops.attention, slots, attrs, expected);
    return findMismatch(ops.attention, slots, attrs, expected, actual) === undefined;
  } catch (error) {
    if (error instanceof MetalError) return false;
    throw error;
  }
}

const decode: Call = { queries: 1, length: 70 };
const prefill: Call = { queries: 40, length: 70 };

type Fault = readonly [from: string, to: string, header?: string];
const defects: readonly (readonly [string, Fault, readonly Call[]])[] = [
  [
    "a causal leak: keys up to the end of their tile of 16 are let through",
    ["? position + 1 : length", "? min((position / 16 + 1) * 16, length) : length", "attention.h"],
    [
      { queries: 59, length: 64, qPos: 5, headDim: 256 },
      { queries: 156, length: 256, qPos: 100, headDim: 256 },
    ],
  ],
  [
    "queries that begin at the first key, though there are more keys",
    [": long(at.length) - long(args.queries)", ": 0", "attention.h"],
    [decode, prefill],
  ],
  [
    "keys behind kvLen are read",
    ["HAS_KV_LEN ? uint(", "false ? uint(", "attention.h"],
    [
      { ...decode, capacity: 90, qPos: 69, attrs: { causal: false } },
      { ...prefill, capacity: 90, qPos: 30, attrs: { causal: false } },
    ],
  ],
  [
    "decode: what is hidden is multiplied by zero",
    ["if (!(weight < 0)) p.sums[r][i] = fma(float4(weight)", "p.sums[r][i] = fma(float4(max(weight, 0.0f))"],
    [{ ...decode, hidden: 33 }],
  ],
  ["prefill: what is hidden is multiplied by zero", ["any_says(!finite,", "any_says(false,"], [{ ...prefill, hidden: 33 }]],
  [
    "softcap is ignored",
    ["args.softcap * tanh(score / args.softcap)", "score", "attention.h"],
    [
      { ...decode, attrs: { softcap: 0.5 } },
      { ...prefill, attrs: { softcap: 0.5 } },
    ],
  ],
  [
    "f16 queries to the kernel for f32",
    ["load_float(q, Q_TYPE,", "load_float(q, F32,", "attention_rows.h"],
    [
      { ...decode, q: "f16" },
      { ...prefill, q: "f16" },
    ],
  ],
  [
    "f16 keys to the kernel for f32",
    ["load_quad(x.data, s.type,", "load_quad(x.data, F32,", "attention_cache.h"],
    [
      { ...decode, cache: "f16" },
      { ...prefill, cache: "f16" },
    ],
  ],
  [
    "the start of a ring before it has wrapped: slots are counted from the first one",
    ["ulong(at.first) + key", "ulong(at.first + at.length >= args.capacity ? at.first : 0) + key", "attention.h"],
    [
      { ...decode, capacity: 90, ringStart: 11 },
      { ...prefill, capacity: 90, ringStart: 11 },
    ],
  ],
  [
    "a window of one key more",
    ["position - args.window + 1", "position - args.window", "attention.h"],
    [
      { ...decode, attrs: { window: 9 } },
      { ...prefill, attrs: { window: 9 } },
    ],
  ],
];

describeOnMetal("defects that are not there", () => {
  test.each(defects)("%s", (_, [from, to, header], calls) => {
    const faulty = withFault("attention", from, to, header);
    for (const call of calls) {
      expect(isRight(metalKernels, call)).toBe(true);
      expectNoFaults();
      expect(isRight(faulty, call)).toBe(false);
      takeFaults(); // of what was read beyond an operand
    }
  });
});
