import type { Step } from "@rlxjs/runtime";
import type { Refusal } from "../launch.ts";

/** The words for an index outside of its axis, as shaders/indices.h reports it: the place, the extent, the index. */
export const wrongIndex = (_: Step, { values: [place, extent, index] }: Refusal): string =>
  `index ${place}: expected 0 to ${extent - 1n}, got ${index}`;
