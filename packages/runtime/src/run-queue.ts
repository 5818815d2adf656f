import { Tensor } from "@rlxjs/ir";
import type { GraphRunner } from "./graph-runner.ts";
import type { InputValue } from "./inputs.ts";
import type { Outputs, RunOptions } from "./run-options.ts";

interface Failure {
  readonly error: unknown;
}
type Outcome<Out extends string> = { readonly outputs: Outputs<Out> } | Failure;

/**
 * Runs of a graph in the order in which they were asked for. Holds the graph while there are some. After a failed run, those behind it
 * fail with its error instead of running on handles and states that miss a step, until somebody has received the error.
 */
export class RunQueue<Out extends string> {
  readonly #runner: GraphRunner<Out>;
  /** Settles when the last run has ended, to what stands in the way of the next one. */
  #tail: Promise<Failure | undefined> | undefined;
  #committed: Promise<Outcome<Out>> | undefined;
  #pending = 0;
  #unlock: (() => void) | undefined;

  constructor(runner: GraphRunner<Out>) {
    this.#runner = runner;
  }

  commit(options: RunOptions<Out>): void {
    const { inputs = {} } = options;
    const copies = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, copyOf(value)]));
    this.#committed = this.#enqueue({ ...options, inputs: copies });
  }

  async sync(): Promise<Outputs<Out> | undefined> {
    const committed = this.#committed;
    this.#committed = undefined;
    return committed && this.#received(await committed);
  }

  async runAll(list: readonly RunOptions<Out>[]): Promise<Outputs<Out>[]> {
    const outcomes = await Promise.all(list.map((options) => this.#enqueue(options)));
    return outcomes.map((outcome) => this.#received(outcome));
  }

  #enqueue(options: RunOptions<Out>): Promise<Outcome<Out>> {
    this.#unlock ??= this.#runner.lock();
    this.#pending++;
    const outcome = this.#run(this.#tail, this.#runner.atExtents(options));
    this.#tail = outcome.then((o) => ("error" in o ? o : undefined));
    return outcome;
  }

  /** Never rejects: a run that nobody waits for is no unhandled rejection. */
  async #run(before: Promise<Failure | undefined> | undefined, options: RunOptions<Out>): Promise<Outcome<Out>> {
    try {
      return (await before) ?? { outputs: await this.#runner.runLocked(options) };
    } catch (error) {
      return { error };
    } finally {
      this.#pending--;
      if (this.#pending === 0) {
        this.#unlock?.();
        this.#unlock = undefined;
      }
    }
  }

  /** The outputs of a run that has ended, or its error, which no longer is in the way of later runs. */
  #received(outcome: Outcome<Out>): Outputs<Out> {
    if ("outputs" in outcome) return outcome.outputs;
    if (this.#pending === 0) this.#tail = undefined;
    throw outcome.error;
  }
}

function copyOf(value: InputValue): InputValue {
  if (typeof value === "number") return value;
  return value instanceof Tensor ? Tensor.fromBytes(value.dtype, value.shape, value.bytes.slice()) : value.slice();
}
