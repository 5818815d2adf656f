import { cacheNames } from "../families/decoder.ts";

const interleaved = (layers: number, names: (layer: number) => readonly [string, string]): string[] =>
  Array.from({ length: layers }, (_, i) => names(i)).flat();

/** `past_k_0, past_v_0, past_k_1, ...`: inputs of a graph in concat form, states of one in state form. */
export const pastKvInputNames = (layers: number): string[] =>
  interleaved(layers, (i) => {
    const { pastK, pastV } = cacheNames(i);
    return [pastK, pastV];
  });

/** `cross_k_0, cross_v_0, cross_k_1, ...`: inputs of a decoder that attends to an encoder's output. */
export const crossKvInputNames = (layers: number): string[] => interleaved(layers, (i) => [`cross_k_${i}`, `cross_v_${i}`]);
