import type { Graph, Node } from "./graph.ts";

/** Nodes by provenance: `layers.0/attention` is a cluster inside the cluster `layers.0`. */
export interface Cluster {
  readonly name: string;
  readonly nodes: Node[];
  readonly children: Map<string, Cluster>;
}

export function clustersOf(graph: Graph): Cluster {
  const root: Cluster = { name: "", nodes: [], children: new Map() };
  for (const node of graph.nodes) {
    let at = root;
    for (const part of node.origin?.split("/") ?? []) {
      const child: Cluster = at.children.get(part) ?? { name: part, nodes: [], children: new Map() };
      at.children.set(part, child);
      at = child;
    }
    at.nodes.push(node);
  }
  return root;
}

/** What a picture says of a node: op or label, the name of a leaf, and attributes that are short. */
export function caption(node: Node): string {
  const { name, ...rest } = node.attrs;
  const short = Object.entries(rest)
    .filter(([key, v]) => (typeof v === "number" || typeof v === "boolean") && key !== "index")
    .map(([key, v]) => `${key}=${String(v)}`);
  const title = typeof name === "string" ? `${node.op} ${name}` : node.label === undefined ? node.op : `${node.op} "${node.label}"`;
  return [title, ...(short.length > 0 ? [short.join(" ")] : [])].join("\n");
}
