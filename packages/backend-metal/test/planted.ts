import { readFileSync } from "node:fs";
import { metalKernels } from "@rlxjs/backend-metal";
import type { Launch, MetalKernel } from "../src/launch.ts";

// Kernels with a known fault in them: a test of the fault has to tell them from the real ones.

const textOf = (file: string): string => readFileSync(new URL(`../../../shaders/${file}`, import.meta.url), "utf8");

/** A file with the headers that it includes in their places, each once, but for common.h. */
function complete(file: string, change: (file: string, text: string) => string, included: Set<string> = new Set()): string {
  return change(file, textOf(file)).replace(/^#pragma once$|^#include "(?!common\.h")(.+)"$/gm, (_, header: string | undefined) => {
    if (header === undefined || included.has(header)) return "";
    included.add(header);
    return complete(header, change, included);
  });
}

/** The source of a shader file, in whose text, or in whose header `header`, `from` has become `to`. */
function faulty(file: string, from: string, to: string, header = `${file}.metal`): string {
  const change = (name: string, text: string): string => (name === header ? text.replaceAll(from, () => to) : text);
  const changed = complete(`${file}.metal`, change);
  if (changed === complete(`${file}.metal`, (_, text) => text)) throw new Error(`expected "${from}" in ${header}`);
  return changed;
}

/** Without the other instances of templates, so that less is compiled. */
const only = (name: string, source: string): string =>
  source.replace(/^template \[\[host_name\("(.+)"\)\]\].*$/gm, (line, instance) => (instance === name ? line : ""));

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
    return [{ ...launch, shader: { text: only(launch.function, faulty(launch.shader.file, from, to, header)) } }];
  });
