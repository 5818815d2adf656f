import { type Graph, type Node, RlxError, verifyGraph } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import { GraphView } from "./graph-view.ts";
import type { KernelSet } from "./kernels.ts";
import { PassError } from "./errors.ts";
import type { PassOptions } from "./options.ts";

export type MissReason = "multi-consumer" | "dtype" | "shape" | "order" | "limit" | "backend";

/** A pattern that was nearly there. */
export interface Miss {
  readonly pass: string;
  readonly pattern: string;
  readonly op: string;
  readonly reason: MissReason;
  readonly detail: string;
  readonly label?: string;
  readonly origin?: string;
}

export interface PassStats {
  readonly name: string;
  readonly nodesBefore: number;
  readonly nodesAfter: number;
  /** How often each rule or pattern was applied. */
  readonly applied: Readonly<Record<string, number>>;
  /** Wall time; other tasks may have run in between. */
  readonly micros: number;
}

/** What a pass may look at, and where it reports to. */
export interface PassContext {
  readonly kernels: KernelSet;
  readonly options: PassOptions;
  view(graph: Graph): GraphView;
  applied(pattern: string): void;
  missed(pattern: string, node: Node, reason: MissReason, detail: string): void;
}

export interface Pass {
  readonly name: string;
  run(graph: Graph, context: PassContext): Work<Graph>;
}

export interface PassResult {
  readonly graph: Graph;
  readonly stats: readonly PassStats[];
  readonly misses: readonly Miss[];
}

/** Run passes in order. With `options.verify`, every graph that a pass makes is verified, and a failure names the pass. */
export function* runPasses(graph: Graph, passes: readonly Pass[], kernels: KernelSet, options: PassOptions): Work<PassResult> {
  const stats: PassStats[] = [];
  const misses: Miss[] = [];
  let current = graph;
  for (const pass of passes) {
    const applied: Record<string, number> = {};
    const seen = new Set<string>();
    const started = performance.now();
    const next = yield* pass.run(current, {
      kernels,
      options,
      view: (g) => GraphView.of(g, options.hoistWeights),
      applied: (pattern) => {
        applied[pattern] = (applied[pattern] ?? 0) + 1;
      },
      missed: (pattern, { id, op, label, origin }, reason, detail) => {
        const key = `${pattern} ${id} ${reason}`;
        if (seen.has(key)) return;
        seen.add(key);
        const where = { ...(label === undefined ? {} : { label }), ...(origin === undefined ? {} : { origin }) };
        misses.push({ pass: pass.name, pattern, op, reason, detail, ...where });
      },
    });
    if (options.verify && next !== current) verifyAfter(pass, next);
    const micros = Math.round((performance.now() - started) * 1000);
    stats.push({ name: pass.name, nodesBefore: current.nodes.length, nodesAfter: next.nodes.length, applied, micros });
    current = next;
  }
  return { graph: current, stats, misses };
}

function verifyAfter(pass: Pass, graph: Graph): void {
  try {
    verifyGraph(graph);
  } catch (error) {
    if (error instanceof RlxError) throw new PassError(pass.name, `made an invalid graph: ${error.message}`);
    throw error;
  }
}
