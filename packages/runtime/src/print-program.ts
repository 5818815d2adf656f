import { type Dim, showShape } from "@rlxjs/ir";
import { match, P } from "ts-pattern";
import type { Operand, Program, ProgramBuffer } from "./program.ts";

/** The program as text, one line per buffer and step, for people. */
export function printProgram(program: Program): string {
  const symbols = program.symbols.map((s) => `${s.name} in [${s.min}, ${s.max}]`).join(", ");
  return [
    `program "${program.name}" arena ${program.arenaBytes} bytes${symbols ? ` where ${symbols}` : ""}`,
    ...program.buffers.map((b, i) => `  b${i} = ${printBuffer(b)}`),
    ...program.steps.map((s, i) => {
      const call = `${s.outputs.map((o) => operand(o)).join(", ")} = ${s.op}(${s.inputs.map((o) => (o ? operand(o) : "-")).join(", ")})`;
      const how = s.kernel === s.op ? "" : ` by ${s.kernel}`;
      const params = s.params.length ? ` params [${s.params.join(", ")}]` : "";
      const extra = `${s.blob ? ` blob ${s.blob.byteLength}` : ""}${s.scratch ? ` scratch ${s.scratch.bytes}@${s.scratch.offset}` : ""}`;
      const where = [s.origin, s.label].filter((t) => t !== undefined).join(" ");
      return `  ${i}: ${call}${how}${params}${extra}${where ? `  # ${where}` : ""}`;
    }),
    "",
  ].join("\n");
}

function printBuffer(b: ProgramBuffer): string {
  const type = `${b.dtype}${showShape(b.shape)} ${b.bytes} bytes`;
  const as = (layout: string | undefined): string => (layout === undefined ? "" : ` as ${layout}`);
  return match(b)
    .with({ kind: "arena" }, ({ offset }) => `arena@${offset} ${type}`)
    .with({ kind: "constant" }, ({ layout }) => `constant ${type}${as(layout)}`)
    .with({ kind: "weight", source: { kind: "param" } }, ({ source, layout }) => `weight "${source.name}" ${type}${as(layout)}`)
    .with(
      { kind: "weight", source: { kind: "expression" } },
      ({ source, layout }) => `weight expression of ${source.graph.nodes.length} nodes ${type}${as(layout)}`,
    )
    .with({ kind: P.union("input", "output", "state") }, ({ kind, name }) => `${kind} "${name}" ${type}`)
    .exhaustive();
}

const at = (offset: Dim): string => (offset === 0 ? "" : `+${offset}`);
const operand = (o: Operand): string => `b${o.buffer}${at(o.offset)}:${o.dtype}${showShape(o.shape)}`;
