/** Base of every error that rlxjs raises on purpose: `code` is stable, the text names what was expected and what was given. */
export class RlxError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Operand shapes or dtypes that an op does not accept. */
export class ShapeError extends RlxError {
  constructor(op: string, message: string) {
    super("ERR_SHAPE", `[${op}] ${message}`);
  }
}

/** An attribute that is missing, of the wrong type, or out of range. */
export class AttrError extends RlxError {
  constructor(op: string, message: string) {
    super("ERR_ATTR", `[${op}] ${message}`);
  }
}

/** A graph that breaks an invariant of the IR. */
export class GraphError extends RlxError {
  constructor(graph: string, message: string) {
    super("ERR_GRAPH", `graph "${graph}": ${message}`);
  }
}

/** Data that a run cannot use, such as a position that does not fit: raised before anything is written. */
export class RunError extends RlxError {
  constructor(op: string, message: string) {
    super("ERR_RUN", `[${op}] ${message}`);
  }
}
