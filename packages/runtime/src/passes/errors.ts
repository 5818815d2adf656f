import { RlxError } from "@rlxjs/ir";
import type { DispatchEntry } from "./dispatch.ts";

/** Nodes that neither the backend's kernels nor a decomposition cover, while the references are not allowed. */
export class UnsupportedOpsError extends RlxError {
  readonly entries: readonly DispatchEntry[];
  constructor(graph: string, entries: readonly DispatchEntry[]) {
    const counts = new Map<string, number>();
    for (const { op, reason } of entries) counts.set(`${op}: ${reason}`, (counts.get(`${op}: ${reason}`) ?? 0) + 1);
    const lines = [...counts].map(([text, n]) => `\n  ${n > 1 ? `${n} x ` : ""}${text}`);
    super("ERR_UNSUPPORTED_OPS", `graph "${graph}": the backend cannot run ${entries.length} of its nodes:${lines.join("")}`);
    this.entries = entries;
  }
}

/** A pass that breaks its own rules: a fault of the compiler, not of the graph. */
export class PassError extends RlxError {
  constructor(pass: string, message: string) {
    super("ERR_PASS", `pass "${pass}": ${message}`);
  }
}
