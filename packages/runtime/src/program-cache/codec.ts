import { deserializeWork, type Graph, hashBytesWork, RlxError, serializeGraph } from "@rlxjs/ir";
import type { CompiledPasses } from "../passes/compile.ts";
import type { Work } from "../task.ts";
import { formatVersion, type ProgramKey } from "./key.ts";
import { readReports, type StoredReports } from "./reports.ts";

/** Bytes from a program cache that are damaged, or are not what their key says. */
export class ProgramFormatError extends RlxError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_PROGRAM_FORMAT", `cached program: ${message}`);
    if (options) this.cause = options.cause;
  }
}

/** What is kept of a compile: the graph as the passes left it, which lowers to the program, and what they report. */
export interface StoredProgram extends StoredReports {
  readonly graph: Graph;
}

// Layout, little-endian: "RLXP", u32 version, u32 bytes of the header, u32 zero, SHA-256 of all that follows (32 bytes), header (JSON:
// the key's text and the reports), padding to a multiple of 64, then the graph as serializeGraph writes it. Kernel parameters and
// bytecode are not kept: they are made anew from the verified graph, so that no file decides what native code does with memory.
const magic = 0x50584c52;
const prefix = 48;
const alignment = 64;
const aligned = (n: number): number => Math.ceil(n / alignment) * alignment;

/** What a cache keeps under the key. */
export function* encodeProgramFile({ graph, report, stats, misses }: CompiledPasses, key: ProgramKey): Work<Uint8Array<ArrayBuffer>> {
  const reports: StoredReports = { decomposed: report.decomposed, stats, misses };
  const header = new TextEncoder().encode(JSON.stringify({ key: key.text, ...reports }));
  const body = serializeGraph(graph);
  const start = aligned(prefix + header.byteLength);
  const out = new Uint8Array(start + body.byteLength);
  const view = new DataView(out.buffer);
  for (const [i, v] of [magic, formatVersion, header.byteLength, 0].entries()) view.setUint32(4 * i, v, true);
  out.set(header, prefix);
  out.set(body, start);
  out.set(yield* checksum(out), 16);
  return out;
}

function* checksum(file: Uint8Array): Work<Uint8Array> {
  const hex = yield* hashBytesWork(file.subarray(prefix));
  return Uint8Array.from(hex.match(/../g) ?? [], (h) => Number.parseInt(h, 16));
}

/** Read and check the bytes of a key. Throws RlxError and nothing else. */
export function* decodeProgramFile(bytes: Uint8Array<ArrayBuffer>, key: ProgramKey): Work<StoredProgram> {
  if (!(bytes instanceof Uint8Array) || bytes.byteLength < prefix) throw new ProgramFormatError(`expected at least ${prefix} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [first, version, length, zero] = [0, 4, 8, 12].map((at) => view.getUint32(at, true));
  if (first !== magic) throw new ProgramFormatError('expected "RLXP" at the start');
  if (version !== formatVersion) throw new ProgramFormatError(`expected version ${formatVersion}, got ${version}`);
  const start = aligned(prefix + (length ?? 0));
  if (length === undefined || zero !== 0 || start > bytes.byteLength)
    throw new ProgramFormatError(`header of ${length} bytes, but ${bytes.byteLength - prefix} follow`);
  const expected = yield* checksum(bytes);
  if (!expected.every((b, i) => b === bytes[16 + i])) throw new ProgramFormatError("the checksum is wrong");
  const header = parse(bytes.subarray(prefix, prefix + length));
  const reports = readReports(header);
  if (!reports) throw new ProgramFormatError("the reports are incomplete");
  if (header.key !== key.text) throw new ProgramFormatError("it was put under another key");
  return { graph: yield* deserializeWork(bytes.subarray(start)), ...reports };
}

function parse(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const header: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof header === "object" && header !== null) return header as Record<string, unknown>;
  } catch (cause) {
    throw new ProgramFormatError("the header is not JSON", { cause });
  }
  throw new ProgramFormatError("expected a JSON object as header");
}
