// Runs kernels through the driver: buffers in, buffers and faults out.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Rng } from "@rlxjs/ir";
import { compile } from "../tool/compile.mjs";
import { buildDriver } from "../tool/driver.mjs";
import { type Architecture, hostArchitecture } from "../tool/flags.mjs";

export type Order = "forward" | "reverse" | "random";
export const orders: readonly Order[] = ["forward", "reverse", "random"];

export interface Fault {
  kind: string;
  kernel: string;
  /** "file.metal:12", or "" */
  place: string;
  message: string;
}

/** A name of a buffer, or the bytes themselves. */
export type Bound = string | { buffer: string; offset: number } | Uint8Array;

export interface DispatchSpec {
  kernel: string;
  constants?: { index: number; type: string; value: Uint8Array }[];
  threads?: readonly [number, number, number];
  threadgroups?: readonly [number, number, number];
  size: readonly [number, number, number];
  buffers: Record<number, Bound>;
  threadgroupBytes?: Record<number, number>;
  /** A memory barrier behind it; default true. */
  barrier?: boolean;
}

export interface Job {
  /** Path of the .metal file. */
  source: string;
  check: boolean;
  /** Default: this machine's. Another one needs the emulator. */
  architecture?: Architecture;
  order?: Order;
  workers?: number;
  maxThreads?: number;
  /** Contents, or a length of zeros; `wrap`: zeros in memory of the driver, without guard pages. */
  buffers: Record<string, Uint8Array | number | { wrap: number }>;
  dispatches: readonly DispatchSpec[];
}

export interface Result {
  buffers: Record<string, Uint8Array>;
  faults: Fault[];
}

export const kernelFile = (name: string): string => fileURLToPath(new URL(`kernels/${name}.metal`, import.meta.url));

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");

export const u32 = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
export const f32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
export const bytesOf = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
export const randomFloats = (count: number, seed: number): Float32Array => Float32Array.from(new Rng(seed).normals(count));
export const floats = (bytes: Uint8Array | undefined): Float32Array => new Float32Array(Uint8Array.from(bytes ?? []).buffer);

function bindings(dispatch: DispatchSpec): string[] {
  const buffers = Object.entries(dispatch.buffers).map(([index, bound]) => {
    if (bound instanceof Uint8Array) return `b${index}=#${hex(bound)}`;
    return typeof bound === "string" ? `b${index}=${bound}+0` : `b${index}=${bound.buffer}+${bound.offset}`;
  });
  return [...buffers, ...Object.entries(dispatch.threadgroupBytes ?? {}).map(([index, bytes]) => `t${index}=${bytes}`)];
}

/** The driver's script; files lie in `folder`. */
function script(job: Job, library: string, folder: string): string {
  const lines = [`options ${job.order ?? "forward"} 7 ${job.workers ?? 1} ${job.maxThreads ?? 1024}`, `library l ${library}`];
  for (const [name, content] of Object.entries(job.buffers)) {
    if (typeof content === "number") {
      lines.push(`buffer ${name} ${content}`);
    } else if ("wrap" in content) {
      lines.push(`wrap ${name} ${content.wrap}`);
    } else {
      writeFileSync(join(folder, name), content);
      lines.push(`buffer ${name} ${content.byteLength} ${join(folder, name)}`);
    }
  }
  job.dispatches.forEach((dispatch, i) => {
    const constants = (dispatch.constants ?? []).map(({ index, type, value }) => `${index}:${type}:${hex(value)}`);
    const grid = dispatch.threads ? ["threads", ...dispatch.threads] : ["threadgroups", ...(dispatch.threadgroups ?? [1, 1, 1])];
    lines.push(`pipeline p${i} l ${[dispatch.kernel, ...constants].join(" ")}`);
    lines.push(`run p${i} ${[...grid, ...dispatch.size, ...bindings(dispatch)].join(" ")}`);
    if (dispatch.barrier ?? true) lines.push("barrier");
  });
  for (const name of Object.keys(job.buffers)) lines.push(`read ${name} ${join(folder, name)}`);
  return `${lines.join("\n")}\n`;
}

function runDriver([program = "", ...args]: string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout.on("data", (text) => {
      output += text;
    });
    child.stderr.on("data", (text) => {
      errors += text;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new Error(`the driver ended with ${signal ?? code}: ${errors}`));
    });
    child.stdin.end(input);
  });
}

const compiled = new Map<string, ReturnType<typeof compile>>();
const drivers = new Map<Architecture, Promise<string>>();
/** Runs programs of the other architecture, as Debian's qemu-user-static and g++-aarch64-linux-gnu have it. */
export const emulator = ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"];

/** Once per test file: the cache on disk still costs a run of the preprocessor. */
function prepare(source: string, check: boolean, architecture: Architecture): [Promise<string>, ReturnType<typeof compile>] {
  const key = `${architecture} ${check} ${source}`;
  const library = compiled.get(key) ?? compile(source, { check, architecture });
  compiled.set(key, library);
  const driver = drivers.get(architecture) ?? buildDriver({ architecture });
  drivers.set(architecture, driver);
  return [driver, library];
}

/** Compiles the source (or takes it from the cache) and carries out the dispatches in one fresh process. */
export async function execute(job: Job): Promise<Result> {
  const architecture = job.architecture ?? hostArchitecture();
  const [program, { library, log }] = await Promise.all(prepare(job.source, job.check, architecture));
  if (library === undefined) throw new Error(`${job.source} does not compile:\n${log}`);
  const folder = mkdtempSync(join(tmpdir(), "softmetal-"));
  try {
    const output = await runDriver(architecture === hostArchitecture() ? [program] : [...emulator, program], script(job, library, folder));
    const faults = output.split("\n").flatMap((line) => {
      const [kind, kernel, file, number, message] = line.split("\t");
      if (kind === undefined || kernel === undefined || file === undefined || message === undefined) return [];
      return [{ kind, kernel, place: file === "" ? "" : `${basename(file)}:${number}`, message }];
    });
    const names = Object.keys(job.buffers);
    return { buffers: Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))])), faults };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The kernels of a source, as the runtime finds them in its library. */
export async function kernelsOf(source: string): Promise<string[]> {
  const [program, { library }] = await Promise.all(prepare(source, false, hostArchitecture()));
  return (await runDriver([program], `options forward 1 1 1024\nlibrary l ${library}\nlist l\n`)).trim().split("\n");
}
