import { type AnyOpDef, graphBuilder, type InputSpec, type Tensor, type Value } from "@rlxjs/ir";
import type { Session } from "@rlxjs/runtime";
import type { Case } from "../../backend-cpu/test/one-op.ts";

/**
 * The results of an op on samples where each operand is written by one launch of the run and each result read by another one: what a launch
 * does not declare of its reads and writes leaves out a barrier.
 */
export function chainedResults(session: Session, def: AnyOpDef, samples: readonly Case[]): readonly Tensor[] {
  const g = graphBuilder(`chained ${def.name}`);
  const specs = def.inputs as readonly InputSpec[];
  const inputs: Record<string, Tensor> = {};
  const params: Record<string, Tensor> = {};
  const operand = (name: string, t: Tensor, isWeight: boolean): Value => {
    if (isWeight) {
      params[name] = t;
      return g.param(name, t.dtype, t.shape);
    }
    inputs[name] = t;
    return g.stateWrite(g.state(`before ${name}`, t.dtype, t.shape), g.input(name, t.dtype, t.shape));
  };
  const names: string[] = [];
  for (const [k, { slots, attrs }] of samples.entries()) {
    const values = slots.map((t, i) => {
      const spec = specs[Math.min(i, specs.length - 1)];
      return t && operand(`${k}:${i}`, t, spec?.kind === "weight" && !def.traits.writes?.includes(spec.name));
    });
    for (const [i, value] of g.emit(def, values, attrs).entries()) {
      const { dtype, shape } = value;
      const name = `${k}:${i} out`;
      names.push(name);
      g.output(name, g.stateWrite(g.state(`after ${name}`, dtype, shape), value));
    }
  }
  using compiled = session.compileSync(g.build(), { overrides: params, passes: { fuse: false, maxFoldBytes: 0, hoistWeights: false } });
  const outputs = compiled.runSync({ inputs });
  return names.map((name) => outputs[name] as Tensor);
}
