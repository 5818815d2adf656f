import { attrText, define, dim, type Graph, GraphError, type Node, Tensor, verifyGraph } from "@rlxjs/ir";
import { describe, expect, test } from "vitest";

const seq = dim("seq", { min: 1, max: 8 });
const base = define("g", (g) => {
  const x = g.input("x", "f32", [seq, 4]);
  const s0 = g.state("s", "f32", [seq, 4]);
  const y = g.add(x, g.constant(Tensor.from("f32", [4], [1, 2, 3, 4])), { label: "shift" });
  g.origin = "layers.0/test";
  const s1 = g.stateWrite(s0, y);
  return { y: g.rmsNorm(s1, { eps: 1e-6 }), z: y };
});

/** The graph with node `id` changed. */
const withNode = (id: number, change: (n: Node) => Partial<Node>): Graph => ({
  ...base,
  nodes: base.nodes.map((n) => (n.id === id ? { ...n, ...change(n) } : n)),
});
const [input = 0, state = 0, constant = 0, add = 0, write = 0, norm = 0] = base.nodes.map((n) => n.id);

const broken: Record<string, Graph> = {
  "an op that is not in the table": withNode(add, () => ({ op: "addd" })),
  "ids out of order": withNode(add, () => ({ id: 7 })),
  "a value before it is made": withNode(add, () => ({ inputs: [0, 5] })),
  "a value that is not a number": withNode(add, () => ({ inputs: [0, 0.5] })),
  "too few operands": withNode(add, () => ({ inputs: [0] })),
  "an absent operand": withNode(add, () => ({ inputs: [0, -1] })),
  "another output id": withNode(add, () => ({ outputs: [4] })),
  "too many outputs": withNode(add, () => ({ outputs: [3, 4] })),
  "an unknown attribute": withNode(add, () => ({ attrs: { axis: 1 } })),
  "a default that is not filled in": withNode(norm, () => ({ attrs: {} })),
  "an attribute of another type": withNode(norm, () => ({ attrs: { eps: "small" } })),
  "a recorded dtype that is not the inferred one": { ...base, values: base.values.map((v, i) => (i === 3 ? { ...v, dtype: "f16" } : v)) },
  "a recorded shape that is not the inferred one": {
    ...base,
    values: base.values.map((v, i) => (i === 3 ? { ...v, shape: [seq, 5] } : v)),
  },
  "a value table that disagrees": { ...base, values: base.values.map((v, i) => (i === 3 ? { ...v, node: 0 } : v)) },
  "values that nothing makes": { ...base, values: [...base.values, { dtype: "f32", shape: [], node: 9, index: 0 }] },
  "a stale state version": withNode(norm, () => ({ inputs: [1, -1] })),
  "a write to a value that is no state": withNode(write, () => ({ inputs: [0, 3] })),
  "a stale version as an output": { ...base, outputs: [{ name: "old", value: 1 }] },
  "two inputs of one name": withNode(state, () => ({ op: "input", attrs: { name: "x", dtype: "f32", shape: [seq, 4] } })),
  "a constant that is not there": withNode(constant, () => ({ attrs: { index: 3, dtype: "f32", shape: [4] } })),
  "a constant of another shape": { ...base, constants: [Tensor.zeros("f32", [5])] },
  "a symbol without bounds": { ...base, symbols: new Map() },
  "a symbol with other bounds": { ...base, symbols: new Map([["seq", { min: 1, max: 9 }]]) },
  "two outputs of one name": { ...base, outputs: [...base.outputs, { name: "y", value: 0 }] },
  "an output that is no value": { ...base, outputs: [{ name: "y", value: 99 }] },
  "an empty graph": { name: "empty", nodes: [], values: [], outputs: [], constants: [], symbols: new Map() },
};

test("a built graph is valid", () => {
  verifyGraph(base);
  expect([input, state, constant, add, write, norm]).toEqual([0, 1, 2, 3, 4, 5]);
});

test("every rule is checked; messages name graph, node and origin", () => {
  const messages = Object.entries(broken).map(([what, graph]) => {
    try {
      verifyGraph(graph);
    } catch (error) {
      expect(error).toBeInstanceOf(GraphError);
      return `${what} -> ${(error as Error).message}`;
    }
    return `${what} -> accepted`;
  });
  expect(messages.join("\n")).toMatchInlineSnapshot(`
    "an op that is not in the table -> graph "g": node 3 (addd "shift"): unknown op "addd"
    ids out of order -> graph "g": node 7 (add "shift"): expected id 3: ids are dense and in order
    a value before it is made -> graph "g": node 3 (add "shift"): input %5: expected a value made by an earlier node (below %3)
    a value that is not a number -> graph "g": node 3 (add "shift"): input %0.5: expected a value made by an earlier node (below %3)
    too few operands -> graph "g": node 3 (add "shift"): [add] expected 2 operands, got 1
    an absent operand -> graph "g": node 3 (add "shift"): [add] operand "b": expected a value, got nothing
    another output id -> graph "g": node 3 (add "shift"): output 0: expected %3, got %4: values are numbered in order
    too many outputs -> graph "g": node 3 (add "shift"): expected 1 outputs, got 2
    an unknown attribute -> graph "g": node 3 (add "shift"): [add] unknown attribute "axis": expected none
    a default that is not filled in -> graph "g": node 5 (rms_norm, from layers.0/test): attribute "eps": expected its default to be filled in, got nothing
    an attribute of another type -> graph "g": node 5 (rms_norm, from layers.0/test): [rms_norm] attribute "eps": expected a number, got "small"
    a recorded dtype that is not the inferred one -> graph "g": node 3 (add "shift"): output %3: recorded type f16[seq, 4], inferred f32[seq, 4]
    a recorded shape that is not the inferred one -> graph "g": node 3 (add "shift"): output %3: recorded type f32[seq, 5], inferred f32[seq, 4]
    a value table that disagrees -> graph "g": node 3 (add "shift"): output %3: the value table says output 0 of node 0
    values that nothing makes -> graph "g": has 7 values, its nodes make 6
    a stale state version -> graph "g": node 5 (rms_norm, from layers.0/test): uses state version %1 after node 4 has written it
    a write to a value that is no state -> graph "g": node 4 (state_write, from layers.0/test): writes "state": expected a state version, got %0
    a stale version as an output -> graph "g": output "old" is state version %1, which node 4 overwrites
    two inputs of one name -> graph "g": node 1 (input): input "x" is defined twice
    a constant that is not there -> graph "g": node 2 (constant): constant 3: the graph has 1 constants
    a constant of another shape -> graph "g": node 2 (constant): constant 0: expected f32[4], the data is f32[5]
    a symbol without bounds -> graph "g": node 0 (input): dim "seq" has bounds [1, 8], the graph's symbol table says nothing
    a symbol with other bounds -> graph "g": node 0 (input): dim "seq" has bounds [1, 8], the graph's symbol table says [1, 9]
    two outputs of one name -> graph "g": output "y" is defined twice
    an output that is no value -> graph "g": output "y": no value %99
    an empty graph -> graph "empty": has no outputs and writes no state"
  `);
});

describe("scalar bodies", () => {
  const region = (body: object): Graph => {
    const good = define("r", (g) =>
      g.region([g.input("x", "f32", [4])], {
        body: { inputs: 1, compute: "f32", steps: [{ op: "exp", args: [0] }], outputs: [1] },
        dtypes: ["f32"],
      }),
    );
    return { ...good, nodes: good.nodes.map((n) => (n.op === "region" ? { ...n, attrs: { ...n.attrs, body: body as never } } : n)) };
  };
  const good = {
    inputs: 1,
    compute: "f32",
    steps: [
      { op: "const", args: [], imm: 0.5 },
      { op: "mul", args: [0, 1] },
    ],
    outputs: [2],
  };

  test("print as straight-line code", () => {
    expect(attrText(good)).toBe("body f32 1 [r1 = const 0.5; r2 = mul r0 r1] -> r2");
    verifyGraph(region(good));
  });

  test.each([
    ["an unknown scalar op", { ...good, steps: [{ op: "explode", args: [0] }] }],
    ["a register of the future", { ...good, steps: [{ op: "neg", args: [1] }], outputs: [1] }],
    ["a wrong arity", { ...good, steps: [{ op: "add", args: [0] }], outputs: [1] }],
    ["a const without a number", { ...good, steps: [{ op: "const", args: [] }], outputs: [1] }],
    ["an output that is no register", { ...good, outputs: [3] }],
    ["no outputs", { ...good, outputs: [] }],
    ["another class", { ...good, compute: "f8" }],
  ])("%s is refused", (_, body) => {
    expect(() => verifyGraph(region(body))).toThrow(GraphError);
  });
});
