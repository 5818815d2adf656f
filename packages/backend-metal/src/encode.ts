import { type Dim, dtypes, RlxError } from "@rlxjs/ir";
import { type Operand, type Program, type ProgramBuffer, runAtOnce, type Work } from "@rlxjs/runtime";
import { ceilDiv, type Expr, type ExprOp, mul, product } from "./expr.ts";
import type { Access, Argument, BufferArgument, FunctionConstant } from "./launch.ts";
import type { MetalPlan, PlannedLaunch } from "./plan.ts";

// In the orders of the enumerations in native/metal/program.h and gpu_device.h.
const operators = ["constant", "symbol", "add", "sub", "mul", "div", "ceilDiv", "rem", "min", "max"] as const satisfies readonly (
  | ExprOp
  | "constant"
  | "symbol"
)[];
const bufferKinds = ["input", "output", "state", "constant", "weight", "arena"] as const satisfies readonly ProgramBuffer["kind"][];
const argumentTypes = ["uint", "int", "ulong", "long", "float", "slot"] as const satisfies readonly Argument["type"][];
const accesses = ["read", "write", "readWrite", "atomic"] as const satisfies readonly Access[];
const bindingKinds = ["none", "operand", "scratch", "status"] as const satisfies readonly BufferArgument["kind"][];
const constantTypes = ["bool", "uint", "int", "float"] as const satisfies readonly FunctionConstant["type"][];

export interface EncodedPlan extends Pick<MetalPlan, "libraries"> {
  readonly words: Float64Array<ArrayBuffer>;
  /** Names of functions, to which the words refer. */
  readonly functions: readonly string[];
}

/** A program and its launches as numbers, in the order in which native/metal/decode.cpp reads them. Lists come with their length first. */
export const encodePlan = (program: Program, plan: MetalPlan): EncodedPlan => runAtOnce(encodeWork(program, plan));

/** The same, to be interrupted between launches. */
export function* encodeWork(program: Program, plan: MetalPlan): Work<EncodedPlan> {
  const expressions = new Expressions(program.symbols.map((s) => s.name));
  const functions = [...new Set(plan.pipelines.map((p) => p.function))];
  const body: number[] = [program.arenaBytes, program.buffers.length];
  for (const b of program.buffers)
    body.push(bufferKinds.indexOf(b.kind), b.bytes, b.kind === "arena" ? b.offset : 0, expressions.add(operandBytes(b)));
  body.push(plan.pipelines.length);
  for (const { library, function: name, constants } of plan.pipelines) {
    body.push(library, functions.indexOf(name), constants.length);
    for (const { index, type, value } of constants) body.push(index, constantTypes.indexOf(type), value);
  }
  body.push(program.steps.length, plan.slots, plan.launches.length);
  for (const planned of plan.launches) {
    encodeLaunch(program, planned, body, (e) => expressions.add(e));
    yield;
  }
  const symbols = program.symbols.flatMap((s) => [s.min, s.max]);
  const words = Float64Array.from([program.symbols.length, ...symbols, ...expressions.words(), ...body]);
  return { words, functions, libraries: plan.libraries };
}

function encodeLaunch(program: Program, { step, pipeline, slot, launch }: PlannedLaunch, words: number[], expr: (e: Expr) => number): void {
  words.push(step, pipeline, slot + 1, launch.args.length);
  for (const a of launch.args) {
    words.push(argumentTypes.indexOf(a.type));
    if (a.type === "float") words.push(a.value);
    else if (a.type !== "slot") words.push(expr(a.value));
  }
  words.push(launch.buffers.length);
  for (const b of launch.buffers) {
    words.push(bindingKinds.indexOf(b.kind));
    if (b.kind === "none") continue;
    words.push(accesses.indexOf(b.access));
    if (b.kind === "operand") words.push(b.operand.buffer, ...rangeOf(b, b.operand.offset, operandBytes(b.operand)).map(expr));
    else if (b.kind === "scratch") words.push(...scratchRange(program, step, b).map(expr));
  }
  const bytes = launch.threadgroupBytes ?? [];
  words.push(bytes.length, ...bytes.map(expr));
  const threads = "threads" in launch.grid;
  words.push(threads ? 1 : 0, ...("threads" in launch.grid ? launch.grid.threads : launch.grid.threadgroups).map(expr));
  words.push(...launch.threadsPerThreadgroup);
}

/** Bytes of a dense tensor at the extents of a run. */
export function operandBytes({ dtype, shape }: Pick<Operand, "dtype" | "shape">): Expr {
  const { blockSize, blockBytes } = dtypes[dtype];
  return mul(blockSize === 1 ? product(shape) : ceilDiv(product(shape), blockSize), blockBytes);
}

/** Where the thing lies, how long it is, and the part that is bound: from there, and how much. */
const rangeOf = ({ offset = 0, bytes }: { readonly offset?: Expr; readonly bytes?: Expr }, base: Dim, limit: Expr): Expr[] => [
  base,
  limit,
  offset,
  bytes ?? limit,
];

function scratchRange(program: Program, step: number, argument: { readonly offset: Expr; readonly bytes: Expr }): Expr[] {
  const scratch = program.steps[step]?.scratch;
  if (!scratch) throw new RlxError("ERR_PLAN", `graph "${program.name}": step ${step} binds scratch memory, and has none`);
  return rangeOf(argument, scratch.offset, scratch.bytes);
}

/** A list in which every expression is there once, behind those that it is made of. */
class Expressions {
  readonly #symbols: readonly string[];
  readonly #list: number[][] = [];
  readonly #places = new Map<string, number>();

  constructor(symbols: readonly string[]) {
    this.#symbols = symbols;
  }

  /** The place of an expression. */
  add(e: Expr): number {
    if (typeof e === "number") return this.#place("constant", e);
    if ("op" in e) return this.#place(e.op, this.add(e.a), this.add(e.b));
    const terms = e.terms.map(({ coef, symbols }) =>
      symbols.reduce(
        (value, s) => this.#place("mul", value, this.#place("symbol", this.#symbols.indexOf(s))),
        this.#place("constant", coef),
      ),
    );
    return terms.reduce((sum, term) => this.#place("add", sum, term), this.#place("constant", 0));
  }

  words(): number[] {
    return [this.#list.length, ...this.#list.flat()];
  }

  #place(op: (typeof operators)[number], ...operands: number[]): number {
    const key = `${op} ${operands.join(" ")}`;
    const known = this.#places.get(key) ?? this.#list.push([operators.indexOf(op), ...operands]) - 1;
    this.#places.set(key, known);
    return known;
  }
}
