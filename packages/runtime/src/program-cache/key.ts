import { type Graph, hashBytes, hashBytesWork, serializeGraph } from "@rlxjs/ir";
import type { DeviceInfo } from "../backend.ts";
import { keyText } from "../cache/key.ts";
import { defaultPassOptions, type PassOptions } from "../passes/options.ts";
import type { Work } from "../task.ts";
import { libraryVersion } from "../version.ts";

export interface ProgramKey {
  /** Everything that the compiled form depends on. */
  readonly text: string;
  /** SHA-256 of the text. */
  readonly digest: string;
}

/** Number of the format that codec.ts writes. */
export const formatVersion = 1;

/**
 * The key of a graph's compiled form: that of compile caches, without a WeightStore, and the versions of library and format. The graph is
 * hashed as it is written, names and labels included, since reports show them; that is also far quicker than `hashGraph`.
 */
export function* programKey(graph: Graph, { device, kernelLibrary }: DeviceInfo, passes: Partial<PassOptions>): Work<ProgramKey> {
  const text = JSON.stringify([
    formatVersion,
    libraryVersion,
    keyText({
      graph: `sha256:${yield* hashBytesWork(serializeGraph(graph))}`,
      device,
      kernelLibrary,
      passes: { ...defaultPassOptions, ...passes },
      weights: 0,
    }),
  ]);
  return { text, digest: hashBytes(new TextEncoder().encode(text)) };
}
