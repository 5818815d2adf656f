import { type AttrValue, dimFromText, maxDepth, type Symbols, specialNumber } from "./attr-codec.ts";
import type { Dim } from "./dim.ts";
import { type DType, isDType } from "./dtype.ts";
import { RlxError } from "./errors.ts";
import type { TensorType } from "./op.ts";
import type { ScalarBody, ScalarOp, ScalarStep } from "./scalar.ts";
import { scalarOps } from "./scalar.ts";

/** Text that is not a graph; the message says the line and column. */
export class ParseError extends RlxError {
  readonly line: number;
  readonly column: number;
  constructor(line: number, column: number, message: string) {
    super("ERR_PARSE", `line ${line}, column ${column}: ${message}`);
    this.line = line;
    this.column = column;
  }
}

const blank = /\s+|\/\/[^\n]*/y;
const tokens = {
  word: /[A-Za-z_]\w*/y,
  int: /-?\d+/y,
  number: /-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf\b)|nan\b/y,
  dim: /[\w*+\- ]+/y,
} as const;
type Token = keyof typeof tokens;

/** A cursor over the text form of graphs: tokens, types, dims and attribute values. `//` begins a comment. */
export class TextReader {
  readonly #text: string;
  #at = 0;
  symbols: Symbols = new Map();

  constructor(text: string) {
    this.#text = text;
    this.#skip();
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  fail(message: string): ParseError {
    const before = this.#text.slice(0, this.#at);
    return new ParseError(before.split("\n").length, this.#at - before.lastIndexOf("\n"), message);
  }

  /** Whether `mark` is next. */
  peek(mark: string): boolean {
    return this.#text.startsWith(mark, this.#at);
  }
  /** Errors of `run` as parse errors at this place. */
  located<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw error instanceof RlxError && !(error instanceof ParseError) ? this.fail(error.message) : error;
    }
  }

  /** Take `mark` if it is next. */
  accept(mark: string): boolean {
    if (!this.peek(mark)) return false;
    this.#at += mark.length;
    this.#skip();
    return true;
  }
  expect(mark: string): void {
    if (!this.accept(mark)) throw this.fail(`expected "${mark}", got ${this.#next()}`);
  }
  acceptWord(word: string): boolean {
    const at = this.#at;
    if (this.#match("word") === word) return true;
    this.#at = at;
    return false;
  }

  word(): string {
    return this.#take("word", "a name");
  }
  int(): number {
    const v = Number(this.#take("int", "an integer"));
    if (!Number.isSafeInteger(v)) throw this.fail("integer out of range");
    return v;
  }
  string(): string {
    const [text, start] = [this.#text, this.#at];
    let end = start + 1;
    while (end < text.length && text[end] !== '"' && text[end] !== "\n") end += text[end] === "\\" ? 2 : 1;
    if (text[start] !== '"' || text[end] !== '"') throw this.fail(`expected text in quotes, got ${this.#next()}`);
    try {
      const value = String(JSON.parse(text.slice(start, end + 1)));
      this.#at = end + 1;
      this.#skip();
      return value;
    } catch {
      throw this.fail(`expected text in quotes with JSON's escapes, got ${this.#next()}`);
    }
  }
  /** A number as its text. */
  numberText(): string {
    return this.#take("number", "a number");
  }
  number(): number {
    const text = this.numberText();
    return specialNumber(text) ?? Number(text);
  }

  /** Items between brackets, separated by commas. */
  list<T>(open: string, close: string, item: () => T): T[] {
    this.expect(open);
    const items: T[] = [];
    if (this.accept(close)) return items;
    do items.push(item());
    while (this.accept(","));
    this.expect(close);
    return items;
  }

  dim(): Dim {
    const text = this.#take("dim", "an extent").trim();
    return this.located(() => dimFromText(text, this.symbols));
  }

  dtype(): DType {
    const word = this.word();
    if (!isDType(word)) throw this.fail(`unknown dtype "${word}"`);
    return word;
  }
  type(): TensorType {
    const dtype = this.dtype();
    return { dtype, shape: this.list("[", "]", () => this.dim()) };
  }

  value(depth = 0): AttrValue {
    if (depth > maxDepth) throw this.fail(`nested deeper than ${maxDepth}`);
    if (this.peek('"')) return this.string();
    if (this.peek("{")) return this.record(depth);
    if (this.peek("[")) return this.list("[", "]", () => this.value(depth + 1)) as unknown as AttrValue;
    if (this.accept("<")) {
      const d = this.dim();
      this.expect(">");
      return d;
    }
    if (this.acceptWord("true")) return true;
    if (this.acceptWord("false")) return false;
    if (this.acceptWord("body")) return this.#body();
    return this.number();
  }

  record(depth = 0): Readonly<Record<string, AttrValue>> {
    const seen = new Set<string>();
    // fromEntries defines own properties, whatever their name.
    return Object.fromEntries(
      this.list("{", "}", () => {
        const key = this.peek('"') ? this.string() : this.word();
        if (seen.has(key)) throw this.fail(`"${key}" is given twice`);
        seen.add(key);
        this.expect(":");
        return [key, this.value(depth + 1)];
      }),
    );
  }

  #body(): ScalarBody {
    const compute = this.word();
    if (compute !== "f32" && compute !== "f64" && compute !== "i64") throw this.fail(`expected f32, f64 or i64, got "${compute}"`);
    const inputs = this.int();
    const steps: ScalarStep[] = [];
    this.expect("[");
    if (!this.accept("]")) {
      do steps.push(this.#step(inputs + steps.length));
      while (this.accept(";"));
      this.expect("]");
    }
    this.expect("->");
    const outputs = [this.#register()];
    while (this.peek("r")) outputs.push(this.#register());
    return { inputs, compute, steps, outputs };
  }
  #step(register: number): ScalarStep {
    if (this.#register() !== register) throw this.fail(`expected register r${register}: registers are numbered in order`);
    this.expect("=");
    const op = this.word();
    if (!Object.hasOwn(scalarOps, op)) throw this.fail(`unknown scalar op "${op}"`);
    const arity = scalarOps[op as ScalarOp];
    if (arity === 0) return { op: op as ScalarOp, args: [], imm: this.number() };
    return { op: op as ScalarOp, args: Array.from({ length: arity }, () => this.#register()) };
  }
  #register(): number {
    const word = this.word();
    if (!/^r\d{1,9}$/.test(word)) throw this.fail(`expected a register such as r0, got "${word}"`);
    return Number(word.slice(1));
  }

  #take(token: Token, what: string): string {
    const text = this.#match(token);
    if (text === undefined) throw this.fail(`expected ${what}, got ${this.#next()}`);
    return text;
  }
  #match(token: Token): string | undefined {
    const pattern = tokens[token];
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    this.#skip();
    return found;
  }
  #skip(): void {
    // A loop, not a starred pattern: that would need the stack for millions of lines.
    blank.lastIndex = this.#at;
    while (blank.test(this.#text)) this.#at = blank.lastIndex;
  }
  #next(): string {
    return this.done ? "the end" : JSON.stringify(this.#text.slice(this.#at, this.#at + 16).split("\n")[0]);
  }
}
