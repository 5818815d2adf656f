import { type DType, RlxError, showShape, showType, type TensorType } from "@rlxjs/ir";
import type { Program } from "./program.ts";

const list = (names: Iterable<string>): string => [...names].map((n) => `"${n}"`).join(", ") || "none";

/** An input name that the graph does not have. */
export class UnknownInputError extends RlxError {
  constructor(graph: string, name: string, known: Iterable<string>) {
    super("ERR_UNKNOWN_INPUT", `graph "${graph}": unknown input "${name}": expected ${list(known)}`);
  }
}
/** An input that the graph has and the call did not give. */
export class MissingInputError extends RlxError {
  constructor(graph: string, name: string, type: TensorType) {
    super("ERR_MISSING_INPUT", `graph "${graph}": input "${name}": expected ${showType(type)}, got nothing`);
  }
}
/** An input of another element type, or in a typed array that does not hold it. */
export class InputDTypeError extends RlxError {
  constructor(graph: string, name: string, expected: string, given: string) {
    super("ERR_INPUT_DTYPE", `graph "${graph}": input "${name}": expected ${expected}, got ${given}`);
  }
}
/** An input of another rank, fixed extent or number of elements. */
export class InputShapeError extends RlxError {
  constructor(graph: string, name: string, expected: TensorType, given: string) {
    super("ERR_INPUT_SHAPE", `graph "${graph}": input "${name}": expected ${showType(expected)}, got ${given}`);
  }
}
/** An extent that is out of bounds, contradicts another one, or cannot be found from the inputs. */
export class ExtentError extends RlxError {
  constructor(graph: string, message: string) {
    super("ERR_EXTENT", `graph "${graph}": ${message}`);
  }
}
/** An output name that the graph does not have, or a target that does not fit it. */
export class OutputError extends RlxError {
  constructor(graph: string, message: string) {
    super("ERR_OUTPUT", `graph "${graph}": ${message}`);
  }
}
/** A handle that is not bound, or a name that no input or output has. */
export class HandleError extends RlxError {
  constructor(graph: string, name: string, message: string) {
    super("ERR_HANDLE", `graph "${graph}": handle "${name}": ${message}`);
  }
}
/** A feed from an output to a handle whose types or rows do not fit. */
export class FeedError extends RlxError {
  constructor(graph: string, handle: string, output: string, message: string) {
    super("ERR_FEED", `graph "${graph}": feed of handle "${handle}" from output "${output}": ${message}`);
  }
}
/** An object that was used after its `dispose`. */
export class UseAfterDisposeError extends RlxError {
  constructor(what: string) {
    super("ERR_DISPOSED", `${what} is used after it was disposed`);
  }
}
/** An object that is in use by a run: runs are refused, not queued. */
export class BusyError extends RlxError {
  constructor(what: string) {
    super("ERR_BUSY", `${what} is busy: wait for the run in flight, or give each caller its own`);
  }
}
/** A step of a program that failed while it ran, such as a position outside a cache. */
export class KernelError extends RlxError {
  readonly step: number;
  readonly op: string;
  readonly origin: string | undefined;
  constructor(program: Program, step: number, message: string, cause?: unknown) {
    const { op, kernel, label, origin } = program.steps[step] ?? { op: "?", kernel: "?", label: undefined, origin: undefined };
    const where = [origin, label].filter((t) => t !== undefined).join(" ");
    super("ERR_KERNEL", `graph "${program.name}": step ${step} ${op} (${kernel})${where ? ` of ${where}` : ""}: ${message}`);
    if (cause !== undefined) this.cause = cause;
    this.step = step;
    this.op = op;
    this.origin = origin;
  }
}
/** A device that has no backend here, or whose backend cannot be opened on this machine. */
export class DeviceUnavailableError extends RlxError {
  /** Why it is not there. */
  readonly reason: string;

  constructor(device: string, available: Iterable<string>, reason = "no backend is registered for it") {
    super("ERR_DEVICE", `device "${device}": ${reason}; available: ${list(available)}`);
    this.reason = reason;
  }
}
/** A weight that a graph needs and its store does not have. */
export class UnboundWeightError extends RlxError {
  constructor(graph: string, name: string, type: TensorType, hint = "") {
    super("ERR_UNBOUND_WEIGHT", `graph "${graph}": weight "${name}": expected ${showType(type)}, got nothing${hint}`);
  }
}
/** A weight of another dtype or shape than the graph declares. */
export class WeightTypeError extends RlxError {
  constructor(graph: string, name: string, expected: TensorType, given: { readonly dtype: DType; readonly shape: readonly number[] }) {
    super(
      "ERR_WEIGHT_TYPE",
      `graph "${graph}": weight "${name}": expected ${showType(expected)}, got ${given.dtype}${showShape(given.shape)}`,
    );
  }
}
/** A weight name that the graph does not use, or that a store already has. */
export class WeightNameError extends RlxError {
  constructor(where: string, name: string, message: string) {
    super("ERR_WEIGHT_NAME", `${where}: weight "${name}": ${message}`);
  }
}
/** A state that is missing from a set, or that is declared with another type. */
export class StateError extends RlxError {
  constructor(where: string, message: string) {
    super("ERR_STATE", `${where}: ${message}`);
  }
}
