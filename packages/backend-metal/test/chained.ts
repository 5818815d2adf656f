import { type AnyOpDef, graphBuilder, type InputSpec, Tensor, type TensorType, type Value } from "@rlxjs/ir";
import { metalKernels, planProgram } from "@rlxjs/backend-metal";
import { lowerGraph, type Session } from "@rlxjs/runtime";
import { type Case, opGraph } from "../../backend-cpu/test/one-op.ts";

/** At most so many of an op's samples, from all over the list. */
export const someOf = (samples: readonly Case[], most: number): Case[] =>
  samples.filter((_, i) => i % Math.ceil(samples.length / most) === 0);

/** Samples for `chainedResults`: of each set of kernels as many as the op has results at least, so that each of them is the first one to be read. */
export function chainOf(def: AnyOpDef, all: readonly Case[]): Case[] {
  const byKernels = new Map<string, Case[]>();
  for (const sample of all) {
    const program = lowerGraph(opGraph(def, [sample]), { kernels: metalKernels, hoistWeights: false });
    const { launches } = planProgram(program, metalKernels);
    const kernels = launches.map(({ launch }) => ("file" in launch.shader ? launch.function : "generated")).join();
    byKernels.set(kernels, [...(byKernels.get(kernels) ?? []), sample]);
  }
  return [...byKernels.values()].flatMap((list) => {
    const some = someOf(list, Math.ceil(8 / byKernels.size));
    return Array.from({ length: Math.max(some.length, def.outputs.length) }).flatMap((_, i) => some[i % some.length] ?? []);
  });
}

/**
 * The results of an op on samples where each operand is written by one launch of the run and each result read by another one: what a launch
 * does not declare of its reads and writes leaves out a barrier. A barrier settles everything before it, so from sample to sample another operand
 * is the last one to be written, behind a barrier, and another result the first one to be read; by a launch that does not look at the run's status,
 * as writes of states do.
 */
export function chainedResults(session: Session, def: AnyOpDef, samples: readonly Case[]): readonly Tensor[] {
  const g = graphBuilder(`chained ${def.name}`);
  const specs = def.inputs as readonly InputSpec[];
  const inputs: Record<string, Tensor> = {};
  const params: Record<string, Tensor> = {};
  const copied = (name: string, value: Value): Value => g.stateWrite(g.state(name, value.type.dtype, value.type.shape), value);
  const operand = (name: string, t: Tensor, isWeight: boolean, isLast: boolean): Value => {
    if (isWeight) {
      params[name] = t;
      return g.param(name, t.dtype, t.shape);
    }
    inputs[name] = t;
    const given = g.input(name, t.dtype, t.shape);
    return copied(`before ${name}`, isLast ? copied(`far before ${name}`, given) : given);
  };
  const types: (TensorType & { name: string })[] = [];
  for (const [k, { slots, attrs }] of samples.entries()) {
    const given = slots.flatMap((t, i) => (t ? [i] : []));
    const values: (Value | undefined)[] = slots.map(() => undefined);
    for (const i of rotated(given, k)) {
      const spec = specs[Math.min(i, specs.length - 1)];
      const isWeight = spec?.kind === "weight" && !def.traits.writes?.includes(spec.name);
      values[i] = operand(`${k}:${i}`, slots[i] as Tensor, isWeight, i === rotated(given, k).at(-1));
    }
    const results = g.emit(def, values, attrs);
    for (const i of rotated([...results.keys()], k)) {
      const result = results[i] as Value;
      const flat = result.type.shape.length > 0 ? result : g.reshape(result, { shape: [1] });
      g.output(`${k}:${i} twice`, g.concat([flat, flat], { axis: 0 }));
    }
    types.push(...results.map(({ type }, i) => ({ name: `${k}:${i} twice`, ...type })));
  }
  using compiled = session.compileSync(g.build(), { overrides: params, passes: { fuse: false, maxFoldBytes: 0, hoistWeights: false } });
  const outputs = compiled.runSync({ inputs });
  return types.map(({ name, dtype, shape }) => {
    const { bytes } = outputs[name] as Tensor;
    return Tensor.fromBytes(dtype, shape.map(Number), bytes.slice(0, bytes.length / 2));
  });
}

const rotated = <T>(list: readonly T[], by: number): T[] => list.map((_, i) => list[(i + by) % list.length] as T);
