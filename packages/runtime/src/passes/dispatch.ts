import type { Graph } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import { choose, type Choice, type Decomposition } from "./decompose.ts";
import { UnsupportedOpsError } from "./errors.ts";
import { GraphView } from "./graph-view.ts";
import type { KernelSet } from "./kernels.ts";
import type { PassOptions } from "./options.ts";

/** How a node is carried out: by a kernel, by nothing (`view`), once (`prepared`, from weights), or by the op's reference. */
export type DispatchChoice = Exclude<Choice["kind"], "decomposed">;

export interface DispatchEntry {
  /** Id in the compiled graph. */
  readonly node: number;
  readonly op: string;
  readonly choice: DispatchChoice;
  /** Why not native. */
  readonly reason?: string;
  readonly label?: string;
  readonly origin?: string;
}

export interface DispatchReport {
  /** One entry for each node that is not a leaf, in order. */
  readonly entries: readonly DispatchEntry[];
  /** What was replaced on the way, since the backend has no kernel for it. */
  readonly decomposed: readonly Decomposition[];
  readonly counts: Readonly<Record<DispatchChoice | "decomposed", number>>;
}

/** Say how every node of a legal graph is carried out. Throws UnsupportedOpsError when references are needed but forbidden. */
export function* dispatch(
  graph: Graph,
  decomposed: readonly Decomposition[],
  kernels: KernelSet,
  options: PassOptions,
): Work<DispatchReport> {
  const view = GraphView.of(graph, options.hoistWeights);
  const entries: DispatchEntry[] = [];
  for (const node of graph.nodes) {
    yield;
    if (view.def(node).traits.leaf !== undefined) continue;
    const { id, op, label, origin } = node;
    const choice = choose(view, node, kernels);
    const where = { ...(label === undefined ? {} : { label }), ...(origin === undefined ? {} : { origin }) };
    entries.push(
      "reason" in choice
        ? { node: id, op, choice: "reference", reason: choice.reason, ...where }
        : { node: id, op, choice: choice.kind, ...where },
    );
  }
  const unsupported = options.forbidReference ? entries.filter((e) => e.choice === "reference") : [];
  if (unsupported.length > 0) throw new UnsupportedOpsError(graph.name, unsupported);
  const counts = { native: 0, view: 0, prepared: 0, reference: 0, decomposed: decomposed.length };
  for (const { choice } of entries) counts[choice]++;
  return { entries, decomposed, counts };
}
