import {
  type AnyOpDef,
  type AttrSpec,
  dim,
  type GraphBuilder,
  graphBuilder,
  type InputSpec,
  ops,
  RlxError,
  Tensor,
  type Value,
} from "@rlxjs/ir";
import { expect, test } from "vitest";

/** What a caller without types may pass by mistake. */
const mistakes: readonly unknown[] = [
  ...[undefined, null, 0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e300, 3n, "x", "", true, Symbol("s"), () => 1],
  ...[[], [1], [-1], [[1]], [null], {}, { axis: 1 }, { label: 5 }, { toString: 1 }, { constructor: 1 }, Object.create(null)],
  ...[Tensor.zeros("f32", [2]), new Map(), new Date(0), graphBuilder("other").input("x", "f32", [2])],
];

/** The errors of `call` that are not ours: an exception from the inside, or a message that prints an object or a stack of code. */
function foreign(what: string, call: () => unknown): string[] {
  try {
    call();
  } catch (error) {
    if (!(error instanceof RlxError)) return [`${what}: ${String(error)}`];
    if (/\[object|is not a function|reading '/.test(error.message)) return [`${what}: ${error.message}`];
  }
  return [];
}

function leaves(): { g: GraphBuilder; pool: Record<string, Value> } {
  const g = graphBuilder("g");
  return {
    g,
    pool: {
      matrix: g.input("x", "f32", [2, 4]),
      scalar: g.input("z", "f32", []),
      int: g.input("i", "i32", [2]),
      bool: g.input("b", "bool", [2, 4]),
      symbolic: g.input("y", "f32", [dim("n", { min: 0, max: 9 }), 4]),
      block: g.param("w", "q8_0", [4, 32]),
      state: g.state("s", "f32", [2, 4]),
    },
  };
}

/** A value of the right type for each attribute that must be given. */
const plausible: Readonly<Record<AttrSpec["kind"], unknown>> = {
  ...{ number: 1, int: 1, bool: true, string: "linear", ints: [0], dim: 1, dims: [2, 4], dtype: "f32", dtypes: ["f32"], record: {} },
  body: { inputs: 2, compute: "f32", steps: [], outputs: [0] },
};

const table = (Object.entries(ops) as [string, AnyOpDef][]).filter(([, def]) => !def.traits.leaf);
test.each(table)("%s: any mistake in a call is an error of ours that can be read", (key, def) => {
  const specs = def.inputs as readonly InputSpec[];
  const attrs = Object.entries(def.attrs as Record<string, AttrSpec>);
  const needed = Object.fromEntries(attrs.filter(([, s]) => s.required).map(([name, s]) => [name, plausible[s.kind]]));
  const names = [...attrs.map(([name]) => name), ...specs.filter((s) => s.mode === "optional").map((s) => s.name)];
  const wrong: string[] = [];
  for (const kind of Object.keys(leaves().pool))
    for (const [m, mistake] of mistakes.entries()) {
      const call = (what: string, change: (args: unknown[]) => void): void => {
        const { g, pool } = leaves();
        const args: unknown[] = specs
          .filter((s) => s.mode !== "optional")
          .map((s) => (s.mode === "variadic" ? [pool[kind], pool.matrix] : (pool[s.kind] ?? pool[kind])));
        args.push({ ...needed });
        change(args);
        const method: unknown = Reflect.get(g, key);
        if (typeof method === "function") wrong.push(...foreign(`${kind}, ${what} = mistake ${m}`, () => method.apply(g, args)));
      };
      for (let at = 0; at <= specs.filter((s) => s.mode !== "optional").length; at++)
        call(`argument ${at}`, (args) => args.splice(at, 1, mistake));
      for (const name of names) call(name, (args) => args.push({ ...(args.pop() as object), [name]: mistake }));
      call("one more argument", (args) => args.push(mistake));
    }
  expect(wrong).toEqual([]);
});

test("the same for leaves, outputs, tensors and extents", () => {
  const wrong: string[] = [];
  const loosely = (what: string, target: object, method: string, ...args: unknown[]): void => {
    const f: unknown = Reflect.get(target, method);
    if (typeof f === "function") wrong.push(...foreign(`${what}.${method}`, () => f.apply(target, args)));
  };
  for (const a of mistakes)
    for (const b of mistakes) {
      for (const leaf of ["input", "param", "state"]) {
        loosely("g", graphBuilder("g"), leaf, a, "f32", b);
        loosely("g", graphBuilder("g"), leaf, "x", a, b);
      }
      for (const method of ["constant", "output"]) loosely("g", graphBuilder("g"), method, a, b);
      for (const method of ["from", "fromBytes"]) loosely("Tensor", Tensor, method, "f32", a, b);
      loosely("Tensor", Tensor, "from", "i32", [1], [a]);
      loosely("Tensor", Tensor, "zeros", a, [2]);
      loosely("dim", { dim }, "dim", a, b);
      loosely("dim", { dim }, "dim", "a", { min: a, max: b });
    }
  expect(wrong).toEqual([]);
});

test("what the messages say", () => {
  const { g, pool } = leaves();
  const says = (method: string, ...args: unknown[]): string => {
    const f: unknown = Reflect.get(g, method);
    try {
      if (typeof f === "function") f.apply(g, args);
    } catch (error) {
      return String(error);
    }
    return "accepted";
  };
  expect(
    [
      says("softmax", pool.matrix, -1),
      says("reshape", pool.matrix, { shape: [-1, 2] }),
      says("add", pool.matrix),
      says("add", pool.matrix, Tensor.zeros("f32", [4])),
      says("matmul", pool.matrix, pool.matrix, pool.matrix),
      says("mul", pool.int, 0.5),
      says("clamp", pool.int, { max: 2 ** 40 }),
      says("concat", pool.matrix, { axis: 0 }),
      says("reduceSum", pool.scalar, { axes: [0] }),
      says("constant", [1, 2]),
      says("input", "w2", "q8_0", [4, 33]),
      says("input", "huge", "f32", [2 ** 30, 2 ** 30]),
      says("attention", pool.matrix),
    ].join("\n"),
  ).toMatchInlineSnapshot(`
    "GraphError: graph "g": softmax: options: expected a record of attributes by name, got -1
    AttrError: [reshape] attribute "shape": expected a list of extents (numbers >= 0 or dims), got [-1, 2]
    ShapeError: [add] operand "b": expected a value, got nothing
    GraphError: graph "g": an input of add: expected a value of the graph, got a Tensor: constant(tensor) makes it one
    GraphError: graph "g": matmul: options: expected a record of attributes by name, got a Value
    AttrError: [mul] literal operand: expected an integer from -2147483648 to 2147483647 for i32, got 0.5
    AttrError: [clamp] max: expected an integer from -2147483648 to 2147483647 for i32, got 1099511627776
    GraphError: graph "g": concat: operand "xs": expected a list of values, got a Value
    AttrError: [reduce_sum] axis: expected an operand with axes, got a scalar and axis 0
    GraphError: graph "g": constant: expected a number or a tensor (Tensor.from(dtype, shape, values)), got [1, 2]
    ShapeError: [input] q8_0[4, 33]: expected a last extent that is a multiple of 32
    ShapeError: [input] f32[1073741824, 1073741824] is larger than 2^53 bytes
    AttrError: [attention] attribute "numHeads": expected an integer, got nothing"
  `);
});
