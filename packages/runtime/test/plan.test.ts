import { define, dim } from "@rlxjs/ir";
import { lowerGraph, memoryReport, planMemory, printProgram, type Temporary } from "@rlxjs/runtime";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const temporary = fc
  .record({ bytes: fc.integer({ min: 0, max: 5000 }), start: fc.integer({ min: 0, max: 60 }), length: fc.integer({ min: 0, max: 20 }) })
  .map(({ bytes, start, length }): Temporary => ({ bytes, start, end: start + length }));

describe("memory plan", () => {
  test("temporaries that are alive together never overlap, are aligned, and lie inside the arena", () => {
    fc.assert(
      fc.property(fc.array(temporary, { maxLength: 80 }), (temporaries) => {
        const { offsets, arenaBytes } = planMemory(temporaries);
        const placed = temporaries.map((t, i) => ({ ...t, offset: offsets[i] ?? Number.NaN }));
        for (const [i, a] of placed.entries()) {
          expect(a.offset % 64).toBe(0);
          expect(a.offset + a.bytes).toBeLessThanOrEqual(arenaBytes);
          for (const b of placed.slice(i + 1)) {
            const together = a.start <= b.end && b.start <= a.end;
            const overlap = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
            expect(together && overlap && a.bytes > 0 && b.bytes > 0).toBe(false);
          }
        }
      }),
    );
  });

  test("the arena is never larger than the sum, never smaller than the most that is alive at once", () => {
    fc.assert(
      fc.property(fc.array(temporary, { maxLength: 80 }), (temporaries) => {
        const aligned = temporaries.map((t) => ({ ...t, bytes: Math.ceil(t.bytes / 64) * 64 }));
        const { arenaBytes } = planMemory(temporaries);
        const sum = aligned.reduce((n, t) => n + t.bytes, 0);
        const live = (step: number) => aligned.reduce((n, t) => (t.start <= step && step <= t.end ? n + t.bytes : n), 0);
        expect(arenaBytes).toBeLessThanOrEqual(sum);
        expect(arenaBytes).toBeGreaterThanOrEqual(Math.max(0, ...aligned.map((t) => live(t.start))));
      }),
    );
  });

  test("a temporary takes over the memory of an operand that dies", () => {
    const plan = planMemory([
      { bytes: 256, start: 0, end: 1 },
      { bytes: 256, start: 1, end: 2, inPlaceOf: 0 },
      { bytes: 64, start: 1, end: 1 },
    ]);
    expect(plan).toEqual({ offsets: [0, 0, 256], arenaBytes: 320 });
  });

  test("ten thousand temporaries are planned at once", () => {
    const many = Array.from({ length: 10_000 }, (_, i): Temporary => ({ bytes: 64 * (1 + (i % 7)), start: i, end: i + (i % 13) }));
    expect(planMemory(many).arenaBytes).toBeLessThan(64 * 7 * 14);
  });
});

describe("memory of a program", () => {
  const chain = define("chain", (g) => {
    const x = g.input("x", "f32", [1024]);
    const w = g.input("w", "f32", [1024]);
    // The first three of these are temporaries, the last is the output.
    return g.cumsum(g.cumsum(g.cumsum(g.add(x, w), { axis: 0 }), { axis: 0 }), { axis: 0 });
  });

  test("a chain of equal temporaries needs two buffers, apart from inputs and outputs", () => {
    const program = lowerGraph(chain, { kernels: [] });
    expect(memoryReport(program)).toMatchObject({ temporaryBytes: 3 * 4096, inputBytes: 2 * 4096, outputBytes: 4096 });
    expect(program.arenaBytes).toBeLessThanOrEqual(2 * 4096);
  });

  test("a view keeps what it views alive", () => {
    const graph = define("view", (g) => {
      const x = g.input("x", "f32", [4, 4]);
      const flat = g.reshape(g.softmax(x), { shape: [16] });
      const other = g.softmax(g.softmax(x));
      return g.add(flat, g.reshape(other, { shape: [16] }));
    });
    const { temporaries } = memoryReport(lowerGraph(graph, { kernels: [] }));
    for (const [i, a] of temporaries.entries())
      for (const b of temporaries.slice(i + 1))
        if (a.from < b.to && b.from < a.to) expect(a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes).toBe(false);
    expect(temporaries[0]).toMatchObject({ op: "softmax", from: 0, to: 3 });
  });

  test("programs print", () => {
    const seq = dim("seq", { min: 1, max: 8 });
    const graph = define("print", (g) => {
      const x = g.input("x", "f32", [seq, 4]);
      const y = g.linear(x, g.concat([g.param("a", "f32", [2, 4]), g.param("b", "f32", [2, 4])], { axis: 0 }));
      const cache = g.stateWrite(g.state("last", "f32", [seq, 4]), g.softmax(y));
      return { y, first: g.slice(cache, { axis: 0, start: 0, size: 1 }) };
    });
    expect(printProgram(lowerGraph(graph, { kernels: [] }))).toMatchInlineSnapshot(`
      "program "print" arena 128 bytes where seq in [1, 8]
        b0 = input "x" f32[seq, 4] 128 bytes
        b1 = state "last" f32[seq, 4] 128 bytes
        b2 = output "y" f32[seq, 4] 128 bytes
        b3 = output "first" f32[1, 4] 16 bytes
        b4 = weight expression of 3 nodes f32[4, 4] 64 bytes
        b5 = arena@0 f32[seq, 4] 128 bytes
        0: b2:f32[seq, 4] = linear(b0:f32[seq, 4], b4:f32[4, 4], -) by reference
        1: b5:f32[seq, 4] = softmax(b2:f32[seq, 4]) by reference
        2: b1:f32[seq, 4] = state_write(b1:f32[seq, 4], b5:f32[seq, 4]) by reference
        3: b3:f32[1, 4] = reshape(b1:f32[1, 4]) by reference  # output first
      "
    `);
  });
});
