import { type Access, type BufferArgument, type Launch, read, scratch, write } from "@rlxjs/backend-metal";
import type { Operand } from "@rlxjs/runtime";
import fc from "fast-check";
import { expect, test } from "vitest";
import { bytes, call, f32, HandMade, openDevice, theAddon, values } from "./hand-made.ts";
import { describeOnMetal, expectNoFaults, takeFaults } from "./variants.ts";

interface Use {
  readonly access: Access;
  readonly begin: number;
  readonly end: number;
}
const size = 256;
const use = (operand: Operand, { access, begin, end }: Use): BufferArgument => ({
  kind: "operand",
  operand,
  access,
  offset: begin,
  bytes: end - begin,
});
const idle = (...buffers: BufferArgument[]): Partial<Launch> => ({ buffers, grid: { threads: [1, 1, 1] } });

/** How many barriers launches get that use one buffer so. */
function barriers(launches: readonly (readonly Use[])[]): number | undefined {
  using device = openDevice({ check: false });
  const make = new HandMade();
  const memory = make.arena([size / 4]);
  for (const uses of launches) make.launch("idle", idle(...uses.map((u) => use(memory, u))));
  using loaded = make.load(device);
  loaded.runSync(call(0, [], []));
  return loaded.stats().gpu?.barriers;
}

describeOnMetal("barriers", () => {
  test("two launches need one unless both only read, or both only are atomic", () => {
    const kinds = ["read", "write", "readWrite", "atomic"] as const;
    const needed = kinds.flatMap((a) =>
      kinds.flatMap((b) => (barriers([[{ access: a, begin: 0, end: 64 }], [{ access: b, begin: 0, end: 64 }]]) ? [`${a}, ${b}`] : [])),
    );
    expect(needed).toEqual([
      "read, write",
      "read, readWrite",
      "read, atomic",
      "write, read",
      "write, write",
      "write, readWrite",
      "write, atomic",
      "readWrite, read",
      "readWrite, write",
      "readWrite, readWrite",
      "readWrite, atomic",
      "atomic, read",
      "atomic, write",
      "atomic, readWrite",
    ]);
  });

  test("ranges that touch do not conflict, ranges that share a byte do", () => {
    const pair = (begin: number, end: number): number | undefined =>
      barriers([[{ access: "write", begin: 64, end: 128 }], [{ access: "read", begin, end }]]);
    expect([pair(0, 64), pair(128, 192), pair(0, 65), pair(127, 128), pair(80, 90), pair(0, 256), pair(90, 90)]).toEqual([
      0, 0, 1, 1, 1, 1, 0,
    ]);
  });

  test("uses of one launch do not conflict with each other, and a barrier settles everything before it", () => {
    const all = { begin: 0, end: size };
    expect(
      barriers([
        [
          { access: "write", ...all },
          { access: "read", ...all },
        ],
      ]),
    ).toBe(0);
    const [left, right] = [
      { begin: 0, end: 64 },
      { begin: 64, end: 128 },
    ];
    const writes = [[{ access: "write", ...left } as const], [{ access: "write", ...right } as const]];
    expect(barriers([...writes, [{ access: "read", ...left }], [{ access: "read", ...right }]])).toBe(1);
  });

  test("any launches get the barriers that a plain model says", () => {
    using device = openDevice({ check: false });
    const range = fc.tuple(fc.nat(7), fc.nat(3)).map(([at, length]) => ({ begin: at * 16, end: (at + length) * 16 }));
    const uses = fc.array(
      fc.record({ memory: fc.nat(2), access: fc.constantFrom<Access>("read", "write", "readWrite", "atomic"), range }),
      { minLength: 1, maxLength: 3 },
    );
    fc.assert(
      fc.property(fc.array(uses, { maxLength: 12 }), (launches) => {
        const make = new HandMade();
        // Two parts of one MTLBuffer, which do not meet, and another one.
        const memory = [make.arena([40]), make.arena([40]), make.buffer("state", [40])];
        for (const list of launches)
          make.launch(
            "idle",
            idle(
              ...list
                .flatMap((u) => memory[u.memory] ?? [])
                .map((m, i) => use(m, { access: list[i]?.access ?? "read", ...(list[i]?.range ?? { begin: 0, end: 0 }) })),
            ),
          );
        using loaded = make.load(device);
        const state = device.allocate(160);
        loaded.runSync(call(0, [], [], { states: [state] }));
        state[Symbol.dispose]();

        let expected = 0;
        let since: (typeof launches)[number] = [];
        for (const list of launches) {
          const waits = list.some((a) => since.some((b) => a.memory === b.memory && conflict(a, b)));
          if (waits) expected++;
          since = waits ? list : [...since, ...list];
        }
        expect(loaded.stats().gpu?.barriers).toBe(expected);
      }),
      { numRuns: 150, seed: 1 },
    );
  });

  test("memory is what counts, not the names by which a run knows it", () => {
    using device = openDevice({ check: false });
    const make = new HandMade();
    const [x, s, t, y] = [make.buffer("input", [16]), make.buffer("state", [16]), make.buffer("state", [16]), make.buffer("output", [16])];
    make
      .launch("idle", idle(read(x), write(s)))
      .launch("idle", idle(read(x), write(t)))
      .launch("idle", idle(write(y)));
    using loaded = make.load(device);
    const memory = device.allocate(1024).bytes;
    const part = (at: number): Uint8Array<ArrayBuffer> => memory.subarray(at, at + 64);
    const added = (xAt: number, sAt: number, tAt: number, yAt: number): number => {
      const before = loaded.stats().gpu?.barriers ?? 0;
      const states = [sAt, tAt].map((at) => ({ bytes: part(at), [Symbol.dispose]: () => {} }));
      loaded.runSync(call(0, [part(xAt)], [part(yAt)], { states }));
      return (loaded.stats().gpu?.barriers ?? 0) - before;
    };
    expect(added(0, 64, 128, 192)).toBe(0);
    expect(added(0, 64, 112, 512), "two states that overlap").toBe(1);
    expect(added(0, 64, 128, 32), "an output over the input").toBe(1);
    expect(added(64, 64, 128, 192), "the input is the state").toBe(1);
    expect(loaded.stats().gpu?.copiedBytes).toBe(0);
  });

  test("launches without threads are left out, and none waits for them", () => {
    using device = openDevice({ check: false });
    const make = new HandMade();
    const [x, a, y] = [make.buffer("input"), make.arena(), make.buffer("output")];
    make.scale(x, a, 2).scale(a, y, 2);
    using loaded = make.load(device);
    loaded.runSync(call(0, [bytes(0)], [bytes(0)]));
    expect(loaded.stats().gpu).toMatchObject({ commandBuffers: 0, waits: 0, launches: 0, barriers: 0, gpuMicros: 0 });
    loaded.runSync(call(1, [f32(3)], [bytes(4)]));
    expect(loaded.stats().gpu).toMatchObject({ commandBuffers: 1, waits: 1, launches: 2, barriers: 1 });
  });

  test("the launches of a step depend on each other through its scratch memory", () => {
    using device = openDevice();
    const make = new HandMade();
    const [x, y] = [make.buffer("input"), make.buffer("output")];
    const within = (access: Access) => scratch(access, 32, 16);
    make.scale(x, y, 1, { buffers: [read(x), within("write")] }, { step: 0, scratch: 64 });
    make.scale(x, y, 3, { buffers: [within("read"), write(y)] }, { step: 0 });
    using loaded = make.load(device);
    const out = bytes(16);
    loaded.runSync(call(4, [f32(1, 2, 3, 4)], [out]));
    expect(values(out)).toEqual([3, 6, 9, 12]);
    expect(loaded.stats().gpu?.barriers).toBe(1);
    expectNoFaults();
  });

  test("atomic operations of several launches go on together", () => {
    using device = openDevice();
    const make = new HandMade();
    const total = make.buffer("state", [1]);
    const counting = { buffers: [use(total, { access: "atomic", begin: 0, end: 4 })], grid: { threads: [100, 1, 1] } } as const;
    make.launch("count", counting).launch("count", counting);
    using loaded = make.load(device);
    const state = device.allocate(4);
    loaded.runSync(call(0, [], [], { states: [state] }));
    expect([state.bytes[0], state.bytes[1], loaded.stats().gpu?.barriers]).toEqual([9900 % 256, Math.floor(9900 / 256), 0]);
    expectNoFaults();
  });

  test.skipIf(!theAddon().software)("software Metal reports a dependency that is not declared", () => {
    using device = openDevice({ check: true });
    const make = new HandMade();
    const [x, a, y] = [make.buffer("input"), make.arena(), make.buffer("output")];
    make.scale(x, a, 2, { buffers: [read(x), read(a)] }).scale(a, y, 2);
    using loaded = make.load(device);
    expect(() => loaded.runSync(call(2, [f32(1, 2)], [bytes(8)]))).toThrow();
    expect(takeFaults().map((f) => f.kind)).toContain("race");
  });
});

function conflict(a: { access: Access; range: { begin: number; end: number } }, b: typeof a): boolean {
  const together = a.access === b.access && (a.access === "read" || a.access === "atomic");
  return (
    !together && a.range.begin < b.range.end && b.range.begin < a.range.end && a.range.begin < a.range.end && b.range.begin < b.range.end
  );
}
