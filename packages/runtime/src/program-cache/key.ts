import { type Graph, hashBytes, hashWork } from "@rlxjs/ir";
import type { DeviceInfo } from "../backend.ts";
import { type CompileKey, keyText } from "../cache/key.ts";
import { defaultPassOptions, type PassOptions } from "../passes/options.ts";
import type { Work } from "../task.ts";
import { libraryVersion } from "../version.ts";

export interface ProgramKey {
  /** Everything that the compiled form depends on, and the names that its reports show. */
  readonly text: string;
  /** SHA-256 of the text. */
  readonly digest: string;
}

/** Number of the format that codec.ts writes. */
export const formatVersion = 1;

/** The key of a graph's compiled form. Weights are no part of it. */
export function* programKey(graph: Graph, info: DeviceInfo, passes: Partial<PassOptions> | undefined): Work<ProgramKey> {
  const { device, kernelLibrary } = info;
  const key: CompileKey = {
    graph: `sha256:${yield* hashWork(graph)}`,
    device,
    kernelLibrary,
    passes: { ...defaultPassOptions, ...passes },
    weights: 0,
  };
  const names = [graph.name, ...graph.nodes.map(({ label, origin }) => [label ?? null, origin ?? null])];
  const text = JSON.stringify([formatVersion, libraryVersion, keyText(key), hashBytes(new TextEncoder().encode(JSON.stringify(names)))]);
  return { text, digest: hashBytes(new TextEncoder().encode(text)) };
}
