import { readFileSync } from "node:fs";
import { metalKernels } from "@rlxjs/backend-metal";
import type { Launch, MetalKernel } from "../src/launch.ts";

// Kernels with a known fault in them: a test of the fault has to tell them from the real ones.

const textOf = (file: string): string => readFileSync(new URL(`../../../shaders/${file}`, import.meta.url), "utf8");

/** The source of a shader file, in whose text, or in whose header `header`, `from` has become `to`. */
function faulty(file: string, from: string, to: string, header?: string): string {
  const whole = header === undefined ? textOf(`${file}.metal`) : textOf(header);
  const changed = whole.replaceAll(from, () => to);
  if (changed === whole) throw new Error(`expected "${from}" in ${header ?? file}`);
  if (header === undefined) return changed;
  const include = `#include "${header}"`;
  const source = textOf(`${file}.metal`);
  if (!source.includes(include)) throw new Error(`expected ${include} in ${file}.metal`);
  return source.replace(include, () => changed);
}

/** All kernels, those of `op` with other launches. */
export function withLaunches(op: string, change: (launch: Launch) => readonly Launch[]): readonly MetalKernel[] {
  if (!metalKernels.some((kernel) => kernel.op === op)) throw new Error(`expected a kernel of ${op}`);
  return metalKernels.map((kernel) =>
    kernel.op === op ? { ...kernel, launches: (step) => kernel.launches(step).flatMap((launch) => change(launch)) } : kernel,
  );
}

/** All kernels, those of `op` with a fault in the text of their shaders. */
export const withFault = (op: string, from: string, to: string, header?: string): readonly MetalKernel[] =>
  withLaunches(op, (launch) => {
    if (!("file" in launch.shader)) throw new Error(`expected a shader file for ${op}`);
    return [{ ...launch, shader: { text: faulty(launch.shader.file, from, to, header) } }];
  });
