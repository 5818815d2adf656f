import { showType, Tensor, type TensorType } from "@rlxjs/ir";
import { HandleError, UnknownInputError } from "./errors.ts";
import { checkFeeds } from "./feeds.ts";
import { checkTensor, type InputValues } from "./inputs.ts";
import type { GraphTypes } from "./run-options.ts";

interface HostHandle<Out extends string> {
  readonly tensor: Tensor;
  readonly feed: Out | undefined;
}

const copyOf = ({ dtype, shape, bytes }: Tensor): Tensor => Tensor.fromBytes(dtype, shape, bytes.slice());

/** Tensors that stand for inputs of every run, and follow outputs where they are told to. */
export class HostHandles<Out extends string> {
  readonly #graph: GraphTypes<Out>;
  readonly #bound = new Map<string, HostHandle<Out>>();

  constructor(graph: GraphTypes<Out>) {
    this.#graph = graph;
  }

  bind(name: string, tensor: Tensor, feed: Out | undefined): void {
    const { name: graph, inputs, outputs } = this.#graph;
    const input = inputs.get(name);
    const follows = feed ?? this.#numbered(name, input);
    if (!input && (follows === undefined || feed !== undefined)) throw new UnknownInputError(graph, name, inputs.keys());
    const type: TensorType | undefined = input ?? (follows === undefined ? undefined : outputs.get(follows));
    if (type) checkTensor(graph, name, type, tensor);
    if (input && follows !== undefined) checkFeeds(this.#graph, name, input, [follows]);
    this.#bound.set(name, { tensor: copyOf(tensor), feed: follows });
  }

  read(name: string): Tensor {
    return copyOf(this.#handle(name).tensor);
  }
  unbind(name: string): void {
    this.#handle(name);
    this.#bound.delete(name);
  }

  /** What stands for inputs. */
  values(): InputValues {
    return Object.fromEntries([...this.#bound].flatMap(([name, { tensor }]) => (this.#graph.inputs.has(name) ? [[name, tensor]] : [])));
  }
  /** Outputs that handles follow. */
  fed(): readonly Out[] {
    return [...this.#bound.values()].flatMap(({ feed }) => (feed === undefined ? [] : [feed]));
  }
  /** Take over the outputs of a run that has ended. */
  update(results: ReadonlyMap<Out, Tensor>): void {
    for (const [name, { feed }] of this.#bound) {
      const result = feed === undefined ? undefined : results.get(feed);
      if (result) this.#bound.set(name, { tensor: copyOf(result), feed });
    }
  }

  /** The output that a handle called `out3` follows. An input that is of another type just happens to be called that. */
  #numbered(name: string, input: TensorType | undefined): Out | undefined {
    const index = /^out(0|[1-9]\d*)$/.exec(name)?.[1];
    const [output, type] = (index === undefined ? undefined : [...this.#graph.outputs][Number(index)]) ?? [];
    return input && type && showType(type) !== showType(input) ? undefined : output;
  }
  #handle(name: string): HostHandle<Out> {
    const handle = this.#bound.get(name);
    if (!handle) throw new HandleError(this.#graph.name, name, `is not bound; bound: ${[...this.#bound.keys()].join(", ") || "none"}`);
    return handle;
  }
}
