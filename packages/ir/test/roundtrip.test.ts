import {
  type AnyOpDef,
  type AttrRecord,
  define,
  deserializeGraph,
  dim,
  type Graph,
  graphBuilder,
  hashGraph,
  type InputSpec,
  ops,
  parseGraph,
  printGraph,
  RlxError,
  Rng,
  serializeGraph,
  Tensor,
  type Value,
} from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { graphOf, picks } from "./random-graph.ts";

const roundTrips = (graph: Graph): Graph[] => {
  const { text, sidecar } = printGraph(graph);
  return [parseGraph(text, sidecar), deserializeGraph(serializeGraph(graph))];
};
/** Everything that a graph holds, with constants as their bytes. */
const content = ({ constants, ...rest }: Graph): unknown => ({
  ...rest,
  constants: constants.map((t) => [t.dtype, t.shape, Array.from(t.bytes)]),
});

describe("print, parse and serialise lose nothing", () => {
  test("random graphs", () => {
    fc.assert(
      fc.property(picks, (p) => {
        const graph = graphOf(p);
        for (const again of roundTrips(graph)) {
          expect(content(again)).toEqual(content(graph));
          expect(hashGraph(again)).toBe(hashGraph(graph));
        }
      }),
      { numRuns: 150 },
    );
  });

  const table = (Object.entries(ops) as [string, AnyOpDef][]).filter(([, def]) => !def.traits.leaf);
  test.each(table)("every sample of %s", (_, def) => {
    const samples = def.samples?.(new Rng(7)) ?? [];
    expect(samples.length).toBeGreaterThan(0);
    for (const { inputs, attrs = {} } of samples) {
      const g = graphBuilder(def.name);
      const leaf = (name: string, t: Tensor | undefined): Value | undefined =>
        t && (def.traits.writes?.includes(name) ? g.state(name, t.dtype, t.shape) : g.input(name, t.dtype, t.shape));
      const slots = (def.inputs as readonly InputSpec[]).flatMap((s) => {
        const given = (inputs as Record<string, Tensor | readonly Tensor[] | undefined>)[s.name];
        return given instanceof Tensor || given === undefined ? [leaf(s.name, given)] : given.map((t, i) => leaf(`${s.name}${i}`, t));
      });
      for (const [i, v] of g.emit(def, slots, attrs as AttrRecord, "label").entries()) g.output(`out${i}`, v);
      const graph = g.build();
      for (const again of roundTrips(graph)) expect(content(again)).toEqual(content(graph));
    }
  });

  test("every bit of constants, in text or beside it", () => {
    const nan = new Float32Array(new Uint32Array([0x7fc00001]).buffer);
    const constants = [
      Tensor.from("f32", [3], [-0, Number.POSITIVE_INFINITY, 0.1]),
      Tensor.from("i64", [2], [2n ** 62n + 1n, -1n]),
      Tensor.from("f16", [], [1 / 3]),
      Tensor.from("bool", [2], [1, 0]),
      new Tensor("f32", [1], nan),
      Tensor.from("q8_0", [32], new Float64Array(32).fill(0.5)),
      Tensor.zeros("f64", [0, 3]),
    ];
    const graph = define("constants", (g) => Object.fromEntries(constants.map((t, i) => [`c${i}`, g.constant(t)])));
    for (const again of roundTrips(graph)) expect(content(again)).toEqual(content(graph));
    expect(printGraph(graph).sidecar.byteLength).toBe(4 + 34);
  });
});

describe("hash", () => {
  test("does not see labels, origins, names, node numbers or dead nodes", () => {
    fc.assert(
      fc.property(picks, (p) => {
        expect(hashGraph(graphOf(p, true))).toBe(hashGraph(graphOf(p)));
      }),
      { numRuns: 100 },
    );
  });

  test("sees everything else", () => {
    const base = { input: "x", param: "w", output: "y", state: "s", max: 8, eps: 1e-5, value: 1, order: false, dtype: "f32" as const };
    const build = (o: Partial<Omit<typeof base, "dtype"> & { dtype: "f32" | "f64" }>): string => {
      const { input, param, output, state, max, eps, value, order, dtype } = { ...base, ...o };
      const g = graphBuilder("g");
      const x = g.input(input, dtype, [dim("seq", { min: 1, max }), 2]);
      const y = g.rmsNorm(g.add(x, g.constant(Tensor.from(dtype, [2], [value, 2]))), { eps, weight: g.param(param, "f32", [2]) });
      g.stateWrite(g.state(state, "f32", []), g.constant(5));
      const outputs: [string, Value][] = [
        ["z", g.sub(x, y)],
        [output, y],
      ];
      for (const [name, v] of order ? outputs.reverse() : outputs) g.output(name, v);
      return hashGraph(g.build());
    };
    const variants = [
      build({}),
      build({ input: "x2" }),
      build({ param: "w2" }),
      build({ output: "y2" }),
      build({ state: "s2" }),
      build({ max: 9 }),
      build({ eps: 2e-5 }),
      build({ value: 3 }),
      build({ order: true }),
      build({ dtype: "f64" }),
    ];
    expect(new Set(variants).size).toBe(variants.length);
    expect(build({})).toBe(variants[0]);
    expect(variants[0]).toMatch(/^[0-9a-f]{64}$/);
    const sub = (swap: boolean) =>
      define("f", (g) => {
        const [a, b] = [g.input("a", "f32", []), g.input("b", "f32", [])];
        return swap ? g.sub(b, a) : g.sub(a, b);
      });
    expect(hashGraph(sub(true))).not.toBe(hashGraph(sub(false)));
  });
});

describe("hostile input", () => {
  const graph = define("g", (g) => {
    const seq = dim("seq", { min: 1, max: 8 });
    const x = g.input("x", "f32", [seq, 4]);
    const cache = g.stateWrite(g.state("s", "f32", [seq, 4]), x);
    const big = g.constant(Tensor.from("f32", [40, 1], new Float64Array(40).fill(2)));
    const { values, indices } = g.topk(g.rmsNorm(g.add(x, cache), { eps: 1e-6 }), { k: 2 });
    return {
      values,
      indices,
      rest: g.slice(g.reshape(x, { shape: [4, seq] }), { axis: 0, start: 1, size: 2 }),
      max: g.reduceMax(big, { axes: [0, 1] }),
    };
  });
  const bytes = serializeGraph(graph);
  const headerLength = new DataView(bytes.buffer).getUint32(8, true);
  const header: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(16, 16 + headerLength)));

  const onlyRlxErrors = (run: () => unknown): void => {
    try {
      run();
    } catch (error) {
      if (!(error instanceof RlxError)) throw error;
    }
  };
  const withHeader = (json: unknown): Uint8Array<ArrayBuffer> => withHeaderText(JSON.stringify(json));
  const withHeaderText = (text: string): Uint8Array<ArrayBuffer> => {
    const encoded = new TextEncoder().encode(text);
    const start = Math.ceil((16 + encoded.byteLength) / 64) * 64;
    const data = bytes.subarray(Math.ceil((16 + headerLength) / 64) * 64);
    const out = new Uint8Array(start + data.byteLength);
    out.set(bytes.subarray(0, 16));
    new DataView(out.buffer).setUint32(8, encoded.byteLength, true);
    out.set(encoded, 16);
    out.set(data, start);
    return out;
  };

  test("corrupt bytes give a graph or an RlxError", () => {
    const edits = fc.array(fc.record({ at: fc.nat(bytes.byteLength - 1), byte: fc.integer({ min: 0, max: 255 }) }), { maxLength: 4 });
    fc.assert(
      fc.property(edits, fc.nat(bytes.byteLength), fc.boolean(), (list, cut, truncate) => {
        const copy = bytes.slice();
        for (const { at, byte } of list) copy[at] = byte;
        onlyRlxErrors(() => deserializeGraph(truncate ? copy.slice(0, cut) : copy));
      }),
      { numRuns: 2000 },
    );
  });

  /** Every place in a JSON value, as a path. */
  const paths = (v: unknown, at: readonly string[] = []): (readonly string[])[] =>
    typeof v !== "object" || v === null ? [at] : [at, ...Object.entries(v).flatMap(([k, w]) => paths(w, [...at, k]))];
  const replaced = (v: unknown, path: readonly string[], by: unknown): unknown => {
    const [key, ...rest] = path;
    if (key === undefined) return by;
    const copy: Record<string, unknown> = Array.isArray(v) ? ([...v] as never) : { ...(v as object) };
    copy[key] = replaced(copy[key], rest, by);
    return copy;
  };
  const places = paths(header);
  const nasty = fc.oneof(
    fc.constantFrom<unknown>(
      -1,
      0.5,
      1e300,
      2 ** 53,
      2 ** 31,
      99999999,
      "__proto__",
      "constructor",
      "q8_0",
      "seq*seq*seq",
      "",
      null,
      [],
      {},
    ),
    fc.constantFrom<unknown>(
      { toString: null },
      { $number: { toString: null } },
      { $dim: "seq" },
      { $dim: "seq + -9" },
      { $dim: "2*nobody" },
      { $number: "nan" },
      { $x: 1 },
      [[[[]]]],
      ["f32", [-1]],
    ),
    fc.integer(),
    fc.jsonValue({ maxDepth: 3 }),
  );
  test("a header with any value in any place gives a graph or an RlxError", () => {
    fc.assert(
      fc.property(fc.nat(places.length - 1), nasty, (i, value) => {
        onlyRlxErrors(() => deserializeGraph(withHeader(replaced(header, places[i] ?? [], value))));
      }),
      { numRuns: 4000 },
    );
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test("deep nesting, prototypes and lies about size", () => {
    const nodes = (attrs: unknown) => ({ ...(header as object), nodes: [{ op: "input", inputs: [], types: [["f32", []]], attrs }] });
    const deep = (n: number) => withHeaderText(JSON.stringify(nodes({ name: "DEEP" })).replace('"DEEP"', "[".repeat(n) + "]".repeat(n)));
    expect(() => deserializeGraph(deep(100))).toThrow(/nested deeper/);
    expect(() => deserializeGraph(deep(100_000))).toThrow(RlxError);
    for (const place of ['"inputs":[]', '"name":"g"', '"op":"topk"', '"k":2']) {
      const key = place.slice(0, place.indexOf(":"));
      const nested = withHeaderText(JSON.stringify(header).replace(place, `${key}:${"[".repeat(3000)}${"]".repeat(3000)}`));
      expect(() => deserializeGraph(nested)).toThrow(RlxError);
    }
    const proto: unknown = JSON.parse('{"__proto__": {"polluted": 1}, "name": "x", "dtype": "f32", "shape": []}');
    expect(() => deserializeGraph(withHeader(nodes(proto)))).toThrow(/unknown attribute "__proto__"/);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(() => deserializeGraph(withHeader({ ...(header as object), constants: [["f32", [2 ** 40, 2 ** 20]]] }))).toThrow(RlxError);
    expect(() => deserializeGraph(withHeader({ ...(header as object), constants: [["q8_0", [33]]] }))).toThrow(RlxError);
    expect(() => deserializeGraph(new Uint8Array(0))).toThrowErrorMatchingInlineSnapshot(
      `[SerializeError: serialized graph: expected at least 16 bytes, got 0]`,
    );
  });

  test("edited text gives a graph or an RlxError", () => {
    const { text, sidecar } = printGraph(graph);
    const edit = fc.record({
      at: fc.nat(text.length),
      drop: fc.nat(6),
      add: fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom("%", "[", "<seq>", "body f32 1 [", "-1", "{")),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const edited = edits.reduce((t, { at, drop, add }) => t.slice(0, at) + add + t.slice(at + drop), text);
        onlyRlxErrors(() => parseGraph(edited, sidecar));
      }),
      { numRuns: 3000 },
    );
  });

  test("parse errors say where", () => {
    expect(() =>
      parseGraph('graph "g"\n%0 = input {name: "x", dtype: "f32", shape: [<seq>]} : f32[seq]'),
    ).toThrowErrorMatchingInlineSnapshot(`[ParseError: line 2, column 50: dim "seq": unknown symbol "seq"]`);
    expect(() => parseGraph('graph "g"\nconstant 0 f32[2] [1]')).toThrowErrorMatchingInlineSnapshot(
      `[ParseError: line 2, column 22: tensor f32[2]: expected 2 values, got 1]`,
    );
    expect(() => parseGraph('graph "g"\n%0 = inputs')).toThrowErrorMatchingInlineSnapshot(
      `[ParseError: line 2, column 12: expected ":", got the end]`,
    );
    expect(() => parseGraph("what")).toThrowErrorMatchingInlineSnapshot(`[ParseError: line 1, column 1: expected "graph" and a name]`);
  });
});

test("text of any length and form is read without the stack", () => {
  const fails = (text: string): string => {
    try {
      parseGraph(text);
    } catch (error) {
      expect(error).toBeInstanceOf(RlxError);
      return String(error).slice(0, 61);
    }
    return "accepted";
  };
  expect(fails("//\n".repeat(1e6))).toBe('ParseError: line 1000001, column 1: expected "graph" and a na');
  expect(fails(`graph "${'\\"'.repeat(3e6)}"`)).toMatch(/^GraphError: graph/);
  expect(fails('graph "x"\nconstant 0 f32[99999999999] [1]')).toMatch(/tensor f32.99999999999.: expe/);
  expect(fails('graph "x"\nconstant 0 u8[1] [300]')).toBe("ParseError: line 2, column 22: constant 0: expected 0 to 255 ");
  expect(fails('graph "x')).toMatch(/expected text in quotes/);
  expect(fails('graph "\\x"')).toMatch(/quotes with JS/);
});
