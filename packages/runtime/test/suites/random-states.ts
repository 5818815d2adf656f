import { evaluateGraph, type Graph, graphBuilder, randomTensor, Rng, type Tensor, type Value } from "@rlxjs/ir";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import type { OpenSession } from "./open-session.ts";

/**
 * A random graph over f32[1, 2, 4] values: views of views of two states, writes of one or both in between, and readers of versions that are gone by
 * the time they run. Values that are overwritten states are not read any more, which the builder would refuse.
 */
function randomGraph(choices: readonly (readonly [number, number, number])[], outputs: readonly number[]): Graph {
  const g = graphBuilder("states");
  const square = { shape: [1, 2, 4] };
  const states = [g.state("s", "f32", [1, 2, 4]), g.state("t", "f32", [1, 2, 4])];
  let values: Value[] = [g.input("x", "f32", [1, 2, 4]), ...states];
  const write = (slot: number, value: Value): Value => {
    const next = g.stateWrite(states[slot] ?? value, value);
    values = values.filter((v) => v !== states[slot]);
    states[slot] = next;
    return next;
  };
  // Copies that a pass would drop, were the states not about to be overwritten.
  const writeBoth = (a: Value, b: Value): Value => {
    const [s = a, t = b] = states;
    const next = g.kvWritePair(s, t, g.mul(a, 1), g.reshape(g.reshape(b, { shape: [8] }), square), g.constant(1, "i32"), {
      tokens: g.constant(1, "i32"),
    });
    values = [...values.filter((v) => v !== s && v !== t), next.k];
    states.splice(0, 2, next.k, next.v);
    return next.v;
  };
  const ops: ((a: Value, b: Value) => Value)[] = [
    (a) => g.reshape(a, square),
    (a) => g.reshape(g.reshape(a, { shape: [8] }), square),
    (a) => g.expand(a, square),
    (a) => g.mul(a, 1),
    (a) => g.reshape(g.slice(g.reshape(a, { shape: [8] }), { axis: 0, start: 0, size: 8 }), square),
    (a) => g.transpose(g.transpose(a, { perm: [0, 2, 1] }), { perm: [0, 2, 1] }),
    (a, b) => g.add(g.slice(a, { axis: 1, start: 1, size: 1 }), b),
    (a, b) => g.tanh(g.add(a, b)),
    (a) => g.softmax(a),
    (a) => write(0, a),
    (a) => write(1, a),
    writeBoth,
  ];
  for (const [op, a, b] of choices) {
    const pick = (n: number): Value => values[n % values.length] as Value;
    const made = ops[op % ops.length]?.(pick(a), pick(b));
    if (made) values.push(made);
  }
  for (const o of new Set([...outputs, values.length - 1].map((n) => n % values.length))) g.output(`o${o}`, values[o] as Value);
  return g.build();
}

export async function randomStatesSuite(open: OpenSession, numRuns = 400): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  test.each([true, false])("two runs leave outputs and states as the graph says (fused: %s)", (fuse) => {
    const nat = fc.nat(100);
    const cases = fc.record({
      choices: fc.array(fc.tuple(nat, nat, nat), { minLength: 1, maxLength: 16 }),
      outputs: fc.array(nat, { maxLength: 4 }),
    });
    const rng = new Rng(11);
    const same = (actual: Tensor | undefined, expected: Tensor): void => {
      for (const [i, v] of expected.toArray().entries()) expect(actual?.get(i)).toBeCloseTo(Number(v), 4);
    };
    fc.assert(
      fc.property(cases, ({ choices, outputs }) => {
        const graph = randomGraph(choices, outputs);
        using compiled = session.compileSync(graph, { passes: { fuse, verify: true } });
        using state = session.createState(compiled);
        const states = new Map<string, Tensor>();
        for (let run = 0; run < 2; run++) {
          const inputs = { x: randomTensor(rng, "f32", [1, 2, 4]) };
          const expected = evaluateGraph(graph, { inputs, states, extents: {} });
          const actual = compiled.runSync({ inputs, state });
          for (const [name, tensor] of Object.entries(expected)) same(actual[name], tensor);
          for (const name of compiled.states.keys()) same(state.read(name), states.get(name) as Tensor);
        }
      }),
      { numRuns },
    );
  });
}
