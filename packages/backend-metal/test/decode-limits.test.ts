// The checks of native/metal/decode.cpp, each at its limit: what is taken, and what is just beyond it.
import { expect, test } from "vitest";
import { openDevice } from "./hand-made.ts";
import { describeOnMetal } from "./variants.ts";

const source = `
#include <metal_stdlib>
using namespace metal;
kernel void idle() {}
struct Number { uint value; };
kernel void refuse(constant Number &args [[buffer(0)]], device atomic_uint *status [[buffer(1)]]) {
  atomic_fetch_min_explicit(status, args.value, memory_order_relaxed);
}`;

/** Numbers as encode.ts writes them; expression 0 is 1, expression 1 is 0. */
interface Words {
  readonly expressions?: readonly (readonly number[])[];
  readonly arena?: number;
  readonly buffers?: readonly (readonly number[])[];
  /** Of a function constant: index, type, value. */
  readonly constant?: readonly number[];
  readonly steps?: number;
  readonly slots?: number;
  readonly slot?: number;
  readonly args?: readonly (readonly number[])[];
  readonly bindings?: readonly (readonly number[])[];
  readonly threadgroup?: readonly number[];
  readonly threads?: readonly number[];
}
const list = (items: readonly (readonly number[])[]): number[] => [items.length, ...items.flat()];
const words = (w: Words): Float64Array<ArrayBuffer> =>
  Float64Array.from([
    0, // no symbols
    ...list([[0, 1], [0, 0], ...(w.expressions ?? [])]),
    w.arena ?? 0,
    ...list(w.buffers ?? []),
    ...[1, 0, 0, ...list(w.constant ? [w.constant] : [])],
    ...[w.steps ?? 1, w.slots ?? 0, 1],
    ...[0, 0, w.slot ?? 0, ...list(w.args ?? [])],
    ...list(w.bindings ?? []),
    ...list((w.threadgroup ?? []).map((bytes) => [bytes])),
    ...[0, 0, 0, 0, ...(w.threads ?? [1, 1, 1])],
  ]);

const [uint, long] = [
  [0, 0],
  [3, 0],
] as const;
const times = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item);
const [bool, unsigned, signed, real] = [0, 1, 2, 3] as const;
const [input, constant, weight, arena] = [0, 3, 4, 5] as const;
const [read, write, readWrite] = [0, 1, 2] as const;

describeOnMetal("a program as numbers, at the limits", () => {
  /** "" or why native code does not take a program. */
  const said = (w: Words): string => {
    using device = openDevice({ check: false });
    const bound = (w.buffers ?? []).map(() => undefined);
    try {
      device.native.load("by hand", words(w), ["idle"], [{ label: "idle", source }], ["step"], bound).close();
      return "";
    } catch (error) {
      return error instanceof Error ? error.message.replace("program: ", "") : String(error);
    }
  };
  const expectSaid = (cases: readonly (readonly [Words, string])[]): void => {
    for (const [w, text] of cases) expect(said(w), JSON.stringify(w).slice(0, 80)).toBe(text);
  };

  test("expressions are made of earlier ones", () => {
    const out = "expression operand is out of range";
    expectSaid([
      [{ expressions: [[2, 1, 0]] }, ""],
      [{ expressions: [[2, 2, 0]] }, out],
      [{ expressions: [[2, 0, 2]] }, out],
      [
        {
          expressions: [
            [2, 0, 3],
            [0, 1],
          ],
        },
        out,
      ],
      [{ expressions: [[1, 0]] }, "symbol is out of range"],
      [{ expressions: [[10, 0, 0]] }, "operator is out of range"],
    ]);
  });

  test("buffers of the arena lie within it", () => {
    const out = "arena buffer is out of the arena";
    expectSaid([
      [{ arena: 64, buffers: [[arena, 48, 16, 0]] }, ""],
      [{ arena: 64, buffers: [[arena, 49, 16, 0]] }, out],
      [{ arena: 64, buffers: [[arena, 48, 64, 0]] }, out],
      [{ arena: 64, buffers: [[input, 128, 128, 0]] }, ""],
    ]);
  });

  test("nothing writes to constants and weights", () => {
    const use = (kind: number, access: number): Words => ({ buffers: [[kind, 0, 0, 1]], bindings: [[1, access, 0, 1, 1, 1, 1]] });
    const out = "buffer argument writes to a constant or a weight";
    expectSaid([
      [use(constant, read), ""],
      [use(weight, read), ""],
      [use(constant, write), out],
      [use(constant, readWrite), out],
      [use(weight, write), out],
      [use(input, write), ""],
      [use(arena, write), ""],
    ]);
  });

  test("function constants have values of their types", () => {
    const taken = [
      [bool, 0],
      [bool, 1],
      [unsigned, 0],
      [unsigned, 2 ** 32 - 1],
      [signed, -(2 ** 31)],
      [signed, 2 ** 31 - 1],
      [real, -0.5],
      [real, 2 ** 40],
    ];
    const refused = [
      [bool, -1],
      [bool, 2],
      [bool, 0.5],
      [unsigned, -1],
      [unsigned, 0.5],
      [unsigned, 2 ** 32],
      [signed, -(2 ** 31) - 1],
      [signed, 2 ** 31],
      [signed, Number.NaN],
    ];
    expectSaid([
      ...taken.map((c) => [{ constant: [5, ...c] }, ""] as const),
      ...refused.map((c) => [{ constant: [5, ...c] }, "value of a function constant does not fit its type"] as const),
      [{ constant: [65_536, unsigned, 0] }, "function constant is out of range"],
    ]);
  });

  test("slots are those of launches", () => {
    expectSaid([
      [{ slots: 1, slot: 1 }, ""],
      [{ slots: 1, slot: 2 }, "slot is out of range"],
      [{ slots: 2 }, "slots are more than launches"],
      [{ slots: 2 ** 32 - 1 }, "slots is out of range"],
      [{ steps: 2 ** 32 - 1 }, "steps is out of range"],
      [{ slots: 1, slot: 1, args: [[5]] }, ""],
      [{ slots: 1, args: [[5]] }, "slot argument is of a launch without a slot"],
    ]);
  });

  test("arguments take at most 4096 bytes, longs at multiples of 8", () => {
    const out = "arguments take more than 4096 bytes";
    expectSaid([
      [{ args: times(1024, uint) }, ""],
      [{ args: times(1025, uint) }, out],
      [{ args: times(512, long) }, ""],
      [{ args: times(513, long) }, out],
      [{ args: [uint, ...times(511, long)] }, ""],
      [{ args: [uint, ...times(512, long)] }, out],
      [{ args: [uint, uint, ...times(511, long)] }, ""],
      [{ args: [...times(511, long), uint, uint] }, ""],
      [{ args: [...times(511, long), uint, uint, uint] }, out],
      [{ args: [uint, long, ...times(510, [uint, long]).flat()] }, out],
      [{ args: times(256, [uint, long]).flat() }, ""],
      [{ args: [...times(256, [uint, long]).flat(), uint] }, out],
    ]);
  });

  test("a launch has as many buffers, parts of threadgroup memory and threads as Metal allows", () => {
    const many = "threads per threadgroup are none, or more than 1024";
    expectSaid([
      [{ bindings: times(30, [0]) }, ""],
      [{ bindings: times(31, [0]) }, "buffers of a launch are more than 30"],
      [{ threadgroup: times(31, 1) }, ""],
      [{ threadgroup: times(32, 1) }, "threadgroup memory has more than 31 parts"],
      [{ threads: [1024, 1, 1] }, ""],
      [{ threads: [8, 8, 16] }, ""],
      [{ threads: [1025, 1, 1] }, "threads is out of range"],
      [{ threads: [32, 8, 8] }, many],
      [{ threads: [1, 1, 0] }, many],
    ]);
  });

  test("each buffer is bound to something, if to nothing", () => {
    using device = openDevice({ check: false });
    const load = (bound: undefined[]) => () =>
      device.native.load("by hand", words({ buffers: [[input, 4, 0, 1]] }), ["idle"], [{ label: "idle", source }], ["step"], bound);
    expect(load([])).toThrow("expected 1 bound buffers, got 0");
    expect(load([undefined, undefined])).toThrow("expected 1 bound buffers, got 2");
    load([undefined])().close();
  });

  test("a buffer that needs more than it has is refused when it runs", () => {
    using device = openDevice({ check: false });
    const run = (bytes: number): void => {
      const w = words({ expressions: [[0, bytes]], buffers: [[input, 64, 0, 2]] });
      const loaded = device.native.load("by hand", w, ["idle"], [{ label: "idle", source }], ["step"], [undefined]);
      loaded.runSync({ extents: new Float64Array(0), inputs: [new Uint8Array(256)], outputs: [], states: [], trace: undefined });
      loaded.close();
    };
    run(64);
    expect(() => run(65)).toThrow("buffer 0 needs 65 bytes of 64");
    expect(() => run(-16)).toThrow("buffer 0 needs -16 bytes of 64");
    expect(() => run(0.5)).toThrow("buffer 0 needs 0.5 bytes of 64");
  });

  test("what refuses in a slot that is no launch's is no step", () => {
    using device = openDevice({ check: false });
    const w = words({ slots: 1, args: [[0, 1]], bindings: [[3, 3]] });
    const loaded = device.native.load("by hand", w, ["refuse"], [{ label: "refuse", source }], ["step"], []);
    const call = { extents: new Float64Array(0), inputs: [], outputs: [], states: [], trace: undefined };
    expect(() => loaded.runSync(call)).toThrow(expect.objectContaining({ kind: "refused", step: -1, code: 0 }));
    loaded.close();
  });
});
