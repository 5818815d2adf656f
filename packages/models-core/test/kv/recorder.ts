import { dim, define, type Graph } from "@rlxjs/ir";
import { pastKvInputNames } from "../../src/index.ts";

/** Widths of the two layers. */
export const recorderDims: readonly number[] = [3, 2];

/**
 * A graph that keeps what it is given: the keys of layer 0 are the row `inputs_embeds` [batch, rows, 3], those of layer 1 its first two elements, and
 * values are keys plus 1000. Logits are the first elements of the newest rows.
 */
export function recorder(form: "padded" | "symbolic" | "state", upper: number, batch: number, rows = 1): Graph {
  return define(`recorder.${form}.${upper}`, (g) => {
    const x = g.input("inputs_embeds", "f32", [batch, rows, 3]);
    const keys = [x, g.slice(x, { axis: 2, start: 0, size: 2 })];
    const layers = keys.map((k) => [k, g.add(k, 1000)] as const);
    const logits = g.slice(x, { axis: 2, start: 0, size: 1 });
    if (form === "state") {
      const pos = g.input("pos", "i32", []);
      const written = layers.flatMap(([k, v], i) => {
        const width = recorderDims[i] ?? 0;
        // One layer of each layout.
        const shape = i === 0 ? [batch, upper, width] : [batch, 1, upper, width];
        const write = (name: string, rowsOf: typeof k) =>
          g.kvWrite(g.state(name, "f32", shape), rowsOf, pos, { layout: i === 0 ? "token" : "head", headDim: width });
        return [write(`past_k_${i}`, k), write(`past_v_${i}`, v)];
      });
      // Something has to read the states.
      const kept = written.map((w) => g.reduceMax(w, { axes: w.shape.map((_, axis) => axis) }));
      return {
        logits,
        kept: g.concat(
          kept.map((v) => g.reshape(v, { shape: [1] })),
          { axis: 0 },
        ),
      };
    }
    const extent = form === "symbolic" ? dim("past", { min: 0, max: upper }) : upper;
    const mask = form === "padded" ? g.input("mask", "bool", [batch, upper + rows]) : undefined;
    const pasts = pastKvInputNames(2).map((name, i) => g.input(name, "f32", [batch, extent, recorderDims[i >> 1] ?? 0]));
    const outputs = layers.flatMap(([k, v], i) => [
      [`k_${i}`, g.concat([pasts[2 * i] ?? k, k], { axis: 1 })] as const,
      [`v_${i}`, g.concat([pasts[2 * i + 1] ?? v, v], { axis: 1 })] as const,
    ]);
    return {
      logits,
      ...Object.fromEntries(outputs),
      ...(mask ? { seen: g.reduceSum(g.cast(mask, { dtype: "f32" }), { axes: [1] }) } : {}),
    };
  });
}
