import {
  type Argument,
  add,
  ceilDiv,
  div,
  type Expr,
  evalExpr,
  float,
  int,
  max,
  min,
  mul,
  read,
  rem,
  slot,
  sub,
  uint,
  ulong,
  write,
} from "@rlxjs/backend-metal";
import { dim, Rng } from "@rlxjs/ir";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodePlan, operandBytes } from "../src/encode.ts";
import { bytes, call, f32, HandMade, n, openDevice, theAddon, values } from "./hand-made.ts";
import { describeOnMetal, takeFaults } from "./variants.ts";

const wide = `
#include <metal_stdlib>
using namespace metal;
struct Longs { long v[16]; };
kernel void longs(constant Longs &args [[buffer(0)]], device long *y [[buffer(1)]], uint i [[thread_position_in_grid]]) { y[i] = args.v[i]; }
struct Mixed { uint a; ulong b; float c; int d; uint e; long f; uint g; };
kernel void mixed(constant Mixed &args [[buffer(0)]], device long *y [[buffer(1)]]) {
  y[0] = args.a; y[1] = args.b; y[2] = long(args.c * 4); y[3] = args.d; y[4] = args.e; y[5] = args.f; y[6] = args.g;
}`;
const one = { threads: [1, 1, 1] } as const;
const longs = (data: Uint8Array<ArrayBuffer>): bigint[] => [...new BigInt64Array(Uint8Array.from(data).buffer)];
const long = (value: Expr): Argument => ({ type: "long", value });

/** Expressions over n. Native code and TypeScript both compute them in doubles. */
const expression: fc.Arbitrary<Expr> = fc.letrec<{ e: Expr }>((tie) => ({
  e: fc.oneof(
    { maxDepth: 4 },
    fc.integer({ min: -50, max: 50 }),
    fc.constant<Expr>(n),
    fc.tuple(fc.constantFrom(add, sub, mul, min, max), tie("e"), tie("e")).map(([op, a, b]) => op(a, b)),
    fc.tuple(fc.constantFrom(div, ceilDiv, rem), tie("e"), fc.integer({ min: 1, max: 9 })).map(([op, a, b]) => op(a, b)),
  ),
})).e;

describeOnMetal("a program as numbers", () => {
  test("expressions have the values that TypeScript gives them, at every extent", () => {
    using device = openDevice();
    fc.assert(
      fc.property(fc.array(expression, { minLength: 16, maxLength: 16 }), (list) => {
        const make = new HandMade(wide);
        const y = make.buffer("output", [32]);
        make.launch("longs", { args: list.map(long), buffers: [write(y)], grid: { threads: [16, 1, 1] } });
        using loaded = make.load(device);
        const out = bytes(128);
        for (const extent of [0, 1, 7, 4096, 7]) {
          loaded.runSync(call(extent, [], [out]));
          expect(longs(out)).toEqual(list.map((e) => BigInt(evalExpr(e, { n: extent }))));
        }
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  test("an expression is there once, and a dim is its polynomial", () => {
    const make = new HandMade();
    const [x, y] = [make.buffer("input"), make.buffer("output")];
    make.scale(x, y, 1).scale(x, y, 1);
    const count = (m: HandMade): number | undefined => encodePlan(m.program, m.plan).words[3];
    const before = count(make);
    make.scale(x, y, 1);
    expect(count(make)).toBe(before);
    const rows = dim("rows", { min: 1, max: 9 });
    expect(evalExpr(operandBytes({ dtype: "f16", shape: [rows, n, 3] }), { rows: 2, n: 5 })).toBe(60);
    expect(evalExpr(operandBytes({ dtype: "q4_k", shape: [rows, 512] }), { rows: 3 })).toBe(3 * 2 * 144);
  });

  test("arguments lie as in a struct of the shading language", () => {
    using device = openDevice();
    const make = new HandMade(wide);
    const y = make.buffer("output", [14]);
    const args = [uint(n), ulong(2 ** 40), float(0.25), int(sub(0, n)), slot, long(-(2 ** 41)), uint(2 ** 32 - 1)];
    make.launch("idle", { buffers: [], grid: one }, { refuses: true });
    make.launch("mixed", { args, buffers: [write(y)], grid: one }, { refuses: true });
    expect(() => make.load(device), "a function that is not there").toThrow('function "idle"');
    const other = new HandMade(`${wide}\nkernel void idle() {}`);
    const z = other.buffer("output", [14]);
    other.launch("idle", { grid: one }, { refuses: true }).launch("mixed", { args, buffers: [write(z)], grid: one }, { refuses: true });
    using loaded = other.load(device);
    const out = bytes(56);
    loaded.runSync(call(9, [], [out]));
    expect(longs(out)).toEqual([9n, 2n ** 40n, 1n, -9n, 1n, -(2n ** 41n), 2n ** 32n - 1n]);
  });

  test("what does not fit is refused, with the place", () => {
    using device = openDevice();
    const failure = (change: (make: HandMade) => void): string => {
      const make = new HandMade();
      change(make);
      try {
        using loaded = make.load(device);
        const inputs = make.program.buffers.flatMap((b) => (b.kind === "input" ? [bytes(b.bytes)] : []));
        loaded.runSync(call(5, inputs, []));
        return "ran";
      } catch (error) {
        return error instanceof Error ? error.message.replace(/^graph "hand-made": /, "") : String(error);
      }
    };
    const idle = (more: Parameters<HandMade["launch"]>[1]) => (make: HandMade) => void make.launch("idle", { grid: one, ...more });
    const bound = (offset: Expr, length: Expr) => (make: HandMade) =>
      void make.launch("idle", { grid: one, buffers: [read(make.buffer("input"), { offset, bytes: length })] });
    expect([
      failure(idle({ args: [uint(sub(n, 6))] })),
      failure(idle({ args: [uint(mul(n, 2 ** 30))] })),
      failure(idle({ args: [int(2 ** 31)] })),
      failure(idle({ args: [uint({ op: "div", a: n, b: sub(n, 5) })] })),
      failure(idle({ args: Array.from({ length: 1025 }, () => uint(0)) })),
      failure(idle({ grid: { threads: [sub(n, 6), 1, 1] } })),
      failure(idle({ grid: { threadgroups: [1, mul(n, 2 ** 31), 1] } })),
      failure(idle({ threadsPerThreadgroup: [1024, 2, 1] })),
      failure(idle({ threadsPerThreadgroup: [0, 1, 1] })),
      failure(idle({ threadgroupBytes: [n] })),
      failure(idle({ threadgroupBytes: [2 ** 14, 2 ** 14, 16] })),
      failure(bound(4, 20)),
      failure(bound(sub(n, 6), 1)),
      failure(bound(0, mul(n, 5))),
      failure(
        (make) =>
          void make.launch("idle", { grid: one, buffers: [{ kind: "scratch", access: "read", offset: 48, bytes: 17 }] }, { scratch: 64 }),
      ),
      failure((make) => void make.launch("idle", { grid: one, buffers: [{ kind: "scratch", access: "read", offset: 0, bytes: 1 }] })),
      failure((make) => void make.launch("idle", { grid: one, buffers: [write(make.weight([1]))] })),
      failure(idle({ args: [slot] })),
      failure(idle({ constants: [{ index: 0, type: "uint", value: -1 }] })),
      failure(idle({ constants: [{ index: 0, type: "bool", value: 2 }] })),
    ]).toMatchInlineSnapshot(`
      [
        "step 0 idle (hand-made): argument 0: expected uint, got -1",
        "step 0 idle (hand-made): argument 0: expected uint, got 5368709120",
        "step 0 idle (hand-made): argument 0: expected int, got 2147483648",
        "step 0 idle (hand-made): argument 0: expected uint, got nan",
        "program: arguments take more than 4096 bytes",
        "step 0 idle (hand-made): a grid of -1",
        "step 0 idle (hand-made): a grid of 10737418240",
        "program: threads per threadgroup are none, or more than 1024",
        "program: threads per threadgroup are none, or more than 1024",
        "step 0 idle (hand-made): threadgroup memory: expected a multiple of 16 bytes, got 5",
        "step 0 idle (hand-made): threadgroup memory: expected at most 32768 bytes, got 32784",
        "step 0 idle (hand-made): buffer argument 1 needs bytes [4, 24) of 20 at 0 in a buffer of 20",
        "step 0 idle (hand-made): buffer argument 1 needs bytes [-1, 0) of 20 at 0 in a buffer of 20",
        "step 0 idle (hand-made): buffer argument 1 needs bytes [0, 25) of 20 at 0 in a buffer of 20",
        "step 0 idle (hand-made): buffer argument 1 needs bytes [48, 65) of 64 at 0 in an arena of 64",
        "step 0 binds scratch memory, and has none",
        "program: buffer argument writes to a constant or a weight",
        "program: slot argument is of a launch without a slot",
        "program: value of a function constant does not fit its type",
        "program: value of a function constant does not fit its type",
      ]
    `);
  });

  test("what is cut off, or changed anywhere, is refused or does no harm", () => {
    using device = openDevice({ check: false, order: "forward" });
    const make = new HandMade();
    const [x, s, a, w, y] = [make.buffer("input"), make.buffer("state", [16]), make.arena(), make.weight([16]), make.buffer("output")];
    make.scale(x, a, 2).accumulate(w, s).refuse(x, 1);
    make.scale(a, y, 1, { buffers: [{ kind: "scratch", access: "readWrite", offset: 0, bytes: 16 }, write(y)] }, { scratch: 16 });
    const { words, functions } = encodePlan(make.program, make.plan);
    const weight = device.allocate(64);
    const state = device.allocate(64).bytes;
    const refused = new Map<string, number>();
    const attempt = (changed: Float64Array<ArrayBuffer>): void => {
      const { program, plan } = make;
      try {
        const labels = program.steps.map((step) => step.op);
        const bound = program.buffers.map((b) => (b.kind === "weight" ? weight.bytes : undefined));
        const loaded = device.native.load("changed", changed, functions, plan.libraries, labels, bound);
        // A changed grid may reach behind a buffer: software Metal stops that, and a GPU of a Mac should not be tried.
        for (const extent of theAddon().software ? [4, 4096] : [])
          loaded.runSync({
            extents: Float64Array.of(extent),
            inputs: [bytes(4096 * 4)],
            outputs: [bytes(4096 * 4)],
            states: [state],
            trace: undefined,
          });
        loaded.close();
      } catch (error) {
        const text = error instanceof Error ? error.message.replace(/\d.*/s, "") : "";
        refused.set(text, (refused.get(text) ?? 0) + 1);
      }
    };
    for (let length = 0; length < words.length; length++) attempt(words.slice(0, length));
    expect(
      [...refused.values()].reduce((a, b) => a + b),
      "nothing that is cut off is taken",
    ).toBe(words.length);
    attempt(Float64Array.from([...words, 0]));
    expect(refused.get("program: word stream is longer than the program")).toBe(1);
    const rng = new Rng(3);
    const odd = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2 ** 40, 1e300, 65_536];
    for (let i = 0; i < 3000; i++) {
      const changed = words.slice();
      for (let k = 0; k <= i % 3; k++) {
        const pick = Math.floor(rng.uniform() * 40);
        changed[Math.floor(rng.uniform() * words.length)] = odd[pick] ?? pick - 8;
      }
      attempt(changed);
    }
    expect(refused.size).toBeGreaterThan(20);
    takeFaults();
    const out = bytes(16);
    using loaded = make.load(
      device,
      make.program.buffers.map((b) => (b.kind === "weight" ? weight.bytes : undefined)),
    );
    loaded.runSync(call(4, [f32(0, 0, 2, 3)], [out], { states: [{ bytes: state, [Symbol.dispose]: () => {} }] }));
    expect(values(out), "the device still works").toHaveLength(4);
  });
});
