import { NONE } from "../graph.ts";
import { attrText } from "../print.ts";
import type { HirModule, HirNode, HirWeight } from "./module.ts";

/** A module as text, for people: one line per block, indented by scope. */
export function printHir(module: HirModule): string {
  const lines = [`hir ${JSON.stringify(module.name)}`];
  let open: readonly string[] = [];
  for (const node of module.nodes) {
    const scopes = node.scope?.split("/") ?? [];
    let same = 0;
    while (same < open.length && open[same] === scopes[same]) same++;
    for (let i = same; i < scopes.length; i++) lines.push(`${"  ".repeat(i + 1)}${scopes[i]}:`);
    open = scopes;
    lines.push(`${"  ".repeat(scopes.length + 1)}${nodeText(node)}`);
  }
  for (const { name, value } of module.outputs) lines.push(`  output ${JSON.stringify(name)} %${value}`);
  return `${lines.join("\n")}\n`;
}

function nodeText(node: HirNode): string {
  const ref = (w: HirWeight): string => (typeof w === "number" ? `%${w}` : JSON.stringify(w));
  const weights = Object.entries(node.weights).map(
    ([slot, w]) => `${slot}: ${typeof w === "object" ? `[${w.map(ref).join(", ")}]` : ref(w)}`,
  );
  const attrs = Object.entries(node.attrs).map(([key, v]) => `${key}: ${attrText(v)}`);
  const operands = node.inputs.map((v) => (v === NONE ? "_" : `%${v}`)).join(", ");
  const label = node.label === undefined ? "" : ` label ${JSON.stringify(node.label)}`;
  return `${node.outputs.map((v) => `%${v}`).join(", ")} = ${node.block}(${operands}) {${[...weights, ...attrs].join(", ")}}${label}`;
}
