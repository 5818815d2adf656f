import "../backends.ts";
import { open, readFile, stat } from "node:fs/promises";
import { deserializeGraph, exportMermaid, type Graph, parseGraph, printGraph, printHir, summarizeGraph, summaryText } from "@rlxjs/ir";
import { type OpenedModel, openModel } from "@rlxjs/models-core/node";
import { printProgram } from "@rlxjs/runtime";
import { InputError } from "../errors.ts";
import { type DeviceFlags, demoModel } from "../flags.ts";
import { blocksOf, graphOf, programOf } from "../graphs.ts";

export interface InspectFlags extends DeviceFlags {
  readonly hir?: boolean;
  readonly program?: boolean;
  readonly mermaid?: boolean;
}

/** `rlxjs inspect`: what a model or a graph is made of, at the stage that the flag names. */
export async function inspect(path: string = demoModel, flags: InspectFlags): Promise<void> {
  const graph = await graphFile(path);
  if (graph) {
    if (flags.hir) throw new InputError(`${path}: expected a model for --hir, got a graph, which has no blocks`);
    process.stdout.write(await graphText(graph, flags, () => `${printGraph(graph).text}\n${summaryText(graph, summarizeGraph(graph))}`));
    return;
  }
  using model = await openModel(path);
  process.stdout.write(flags.hir ? printHir(blocksOf(model)) : await graphText(graphOf(model), flags, () => overview(model, path)));
}

async function graphText(graph: Graph, flags: InspectFlags, otherwise: () => string): Promise<string> {
  if (flags.mermaid) return exportMermaid(graph);
  if (flags.program) return printProgram(await programOf(graph, flags));
  return otherwise();
}

/** The graph in a file that `serializeGraph` or `printGraph` made; undefined for any other file. */
async function graphFile(path: string): Promise<Graph | undefined> {
  if (!(await stat(path).catch(() => undefined))?.isFile()) return undefined;
  const handle = await open(path);
  const start = Buffer.alloc(6);
  await handle.read(start, 0, start.length, 0).finally(() => handle.close());
  if (start.toString("latin1", 0, 4) === "RLXG") return deserializeGraph(new Uint8Array(await readFile(path)));
  return start.toString("latin1") === "graph " ? parseGraph(await readFile(path, "utf8")) : undefined;
}

function overview({ config, checkpoint, tokenizer }: OpenedModel, path: string): string {
  const tensors = checkpoint.names().map((name) => checkpoint.info(name));
  const bytes = tensors.reduce((n, t) => n + t.byteLength, 0);
  const parameters = tensors.reduce((n, t) => n + t.shape.reduce((product, extent) => product * extent, 1), 0);
  const settings = Object.entries(config).filter(([, value]) => value !== undefined);
  const width = tensors.reduce((n, t) => Math.max(n, t.name.length), 0);
  return [
    `${path}: ${config.architecture}, ${(parameters / 1e6).toFixed(1)} M parameters, ${(bytes / 1e6).toFixed(1)} MB`,
    `tokenizer: ${tokenizer ? `${tokenizer.vocabSize} tokens` : "none"}`,
    ...settings.map(([name, value]) => `${name}: ${JSON.stringify(value)}`),
    ...tensors.map((t) => `${t.name.padEnd(width)}  ${t.storedAs.padEnd(5)} [${t.shape.join(", ")}]`),
    "",
  ].join("\n");
}
